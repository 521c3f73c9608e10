//! Any text as a kernel: it is refused, or it is a kernel that keeps its promises.

#![no_main]

use libfuzzer_sys::fuzz_target;
use twopass::{Kernel, Separation};

fuzz_target!(|text: &str| {
    let Ok(kernel) = text.parse::<Kernel>() else { return };
    let (width, height) = (kernel.width(), kernel.height());
    assert!((1..=Kernel::MAX_SIDE).contains(&width) && (1..=Kernel::MAX_SIDE).contains(&height));
    assert_eq!(kernel.taps().len(), width * height);
    assert!(kernel.taps().iter().all(|t| t.is_finite()));
    assert!(kernel.anchor().0 < width && kernel.anchor().1 < height);
    assert_eq!(kernel.flipped().flipped(), kernel);
    if width * height <= 1 << 12 {
        let separation = Separation::of(&kernel);
        assert!(separation.residual(separation.terms().len()) >= 0.0);
    }
});
