//! The end that frames and pages have in common: all pictures of a file are filtered and encoded, and it is written.

use super::{Done, Failure, Filtered, Item, Place, Report, Setup, Times, check, number};

pub struct Several {
    pub place: Place,
    /// Of the first picture.
    pub report: Report,
    pub warnings: Vec<String>,
    pub count: usize,
    pub pixels: u64,
    /// Of the decoded samples.
    pub bytes: u64,
}

impl Several {
    /// Writes the file, and says `what` is in it.
    pub fn write(
        self,
        setup: &Setup<'_>,
        item: &Item,
        file: &[u8],
        what: &str,
        mut times: Times,
    ) -> Result<Done, Failure> {
        let Self { place, mut report, mut warnings, count, pixels, bytes } = self;
        check(setup, item, &place.lost)?;
        let Place { path, sink, lost, .. } = place;
        Times::of(&mut times.write_ms, || sink.write(file, &path))?;
        warnings.extend(lost.warning(&item.path));
        let said = format!(
            "wrote {} ({what}): {}, {} ms",
            path.display(),
            report.summary(),
            number((times.filter_ms * 100.0).round() / 100.0)
        );
        report.output = Some(path.display().to_string());
        report.lost = lost.into_names();
        report.frames = Some(count);
        report.times = times;
        let (written, said) = (Some(path), Some(said));
        Ok(Done::Filtered(Box::new(Filtered { report, written, warnings, said, pixels, bytes })))
    }
}
