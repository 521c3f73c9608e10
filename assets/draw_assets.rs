//! Draws the pictures in `assets/`, which the README, the tests and the benches filter:
//!
//! * `scene.png`: a photo-like scene with gradients, texture, sharp edges and lettering;
//! * `chart16.png`: a 16-bit grey test chart;
//! * `soft-alpha.png`: soft shapes over transparency that hides garish colours.
//!
//! ```text
//! cargo run --release --example draw_assets [directory]
//! ```
//!
//! The pictures must come out the same on every machine. So all noise is hashed from coordinates,
//! and floating point uses only `+ − × ÷`, square roots and rounding, which IEEE 754 fixes to the
//! last bit; sines are polynomials (`sin_turns`), because those of `libm` differ.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ImageBuffer, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use std::error::Error;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
    let directory = std::env::args_os().nth(1).map_or(default, PathBuf::from);
    std::fs::create_dir_all(&directory)?;
    let png = |name: &str| -> Result<_, Box<dyn Error>> {
        let path = directory.join(name);
        println!("{}", path.display());
        let file = std::fs::File::create(path)?;
        Ok(PngEncoder::new_with_quality(file, CompressionType::Best, FilterType::Adaptive))
    };
    scene().write_with_encoder(png("scene.png")?)?;
    chart().write_with_encoder(png("chart16.png")?)?;
    soft_alpha().write_with_encoder(png("soft-alpha.png")?)?;
    Ok(())
}

// ---------------------------------------------------------------------------------------------
// Arithmetic that is the same everywhere

type V3 = [f64; 3];

fn add(a: V3, b: V3) -> V3 {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

fn sub(a: V3, b: V3) -> V3 {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

fn times(a: V3, k: f64) -> V3 {
    [a[0] * k, a[1] * k, a[2] * k]
}

fn product(a: V3, b: V3) -> V3 {
    [a[0] * b[0], a[1] * b[1], a[2] * b[2]]
}

fn dot(a: V3, b: V3) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn unit(a: V3) -> V3 {
    times(a, 1.0 / dot(a, a).sqrt())
}

fn lerp(a: f64, b: f64, t: f64) -> f64 {
    a + (b - a) * t
}

fn mix(a: V3, b: V3, t: f64) -> V3 {
    [lerp(a[0], b[0], t), lerp(a[1], b[1], t), lerp(a[2], b[2], t)]
}

/// 0 below `a`, 1 above `b`, smooth between.
fn smooth(a: f64, b: f64, x: f64) -> f64 {
    let t = ((x - a) / (b - a)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

fn fract(x: f64) -> f64 {
    x - x.floor()
}

/// sin(2π · turns), by its Taylor series on a quarter turn.
fn sin_turns(turns: f64) -> f64 {
    let t = turns - (turns + 0.5).floor();
    let folded = if t > 0.25 {
        0.5 - t
    } else if t < -0.25 {
        -0.5 - t
    } else {
        t
    };
    let x = folded * std::f64::consts::TAU;
    let s = x * x;
    let inner = 1.0 - s / 72.0 * (1.0 - s / 110.0 * (1.0 - s / 156.0));
    x * (1.0 - s / 6.0 * (1.0 - s / 20.0 * (1.0 - s / 42.0 * inner)))
}

/// A number in 0..1 that belongs to a point of the integer grid.
fn hash(x: i64, y: i64, seed: u32) -> f64 {
    let mut h = (x as u32).wrapping_mul(0x9e37_79b1)
        ^ (y as u32).wrapping_mul(0x85eb_ca77)
        ^ seed.wrapping_mul(0xc2b2_ae3d);
    h = (h ^ (h >> 16)).wrapping_mul(0x7feb_352d);
    h = (h ^ (h >> 15)).wrapping_mul(0x846c_a68b);
    f64::from(h ^ (h >> 16)) / 4_294_967_296.0
}

/// Smooth noise in 0..1 with features of size 1.
fn noise(x: f64, y: f64, seed: u32) -> f64 {
    let (cx, cy) = (x.floor(), y.floor());
    let (u, v) = (smooth(0.0, 1.0, x - cx), smooth(0.0, 1.0, y - cy));
    let at = |dx: i64, dy: i64| hash(cx as i64 + dx, cy as i64 + dy, seed);
    lerp(lerp(at(0, 0), at(1, 0), u), lerp(at(0, 1), at(1, 1), u), v)
}

/// Octaves of noise, each half as large and half as strong; in 0..1.
fn fbm(x: f64, y: f64, seed: u32, octaves: u32) -> f64 {
    let (mut sum, mut weight, mut total, mut k) = (0.0, 1.0, 0.0, 1.0);
    for octave in 0..octaves {
        sum += weight * noise(x * k, y * k, seed + octave);
        total += weight;
        weight *= 0.5;
        k *= 2.03;
    }
    sum / total
}

/// A stream of numbers in 0..1.
struct Dice {
    seed: u32,
    count: i64,
}

impl Dice {
    fn new(seed: u32) -> Self {
        Self { seed, count: 0 }
    }

    fn roll(&mut self) -> f64 {
        self.count += 1;
        hash(self.count, 0, self.seed)
    }

    fn between(&mut self, a: f64, b: f64) -> f64 {
        lerp(a, b, self.roll())
    }

    /// A point in the unit ball.
    fn ball(&mut self) -> V3 {
        loop {
            let p = [self.between(-1.0, 1.0), self.between(-1.0, 1.0), self.between(-1.0, 1.0)];
            if dot(p, p) <= 1.0 {
                return p;
            }
        }
    }
}

// ---------------------------------------------------------------------------------------------
// The scene: ground, house and sign are traced, leaves and blades are painted over them against
// the same depths. Colours are linear light; the square root at the end stands for gamma.

const WIDTH: usize = 1200;
const HEIGHT: usize = 800;
/// Samples per pixel, a side.
const OVER: usize = 2;
const HORIZON: f64 = 415.0;
/// Pixels per metre at one metre.
const FOCAL: f64 = 1000.0;
const EYE: f64 = 1.65;

const SUN: V3 = [1.28, 1.14, 0.90];
const SKYLIGHT: V3 = [0.30, 0.37, 0.50];
const HAZE: V3 = [0.60, 0.70, 0.80];

/// A colour as it looks on a screen, in linear light.
const fn tone(r: f64, g: f64, b: f64) -> V3 {
    [r * r, g * g, b * b]
}

fn to_sun() -> V3 {
    unit([-0.30, 0.60, -0.52])
}

/// What a surface of this colour sends to the eye.
fn light(colour: V3, sun: f64, sky: f64) -> V3 {
    product(colour, add(times(SUN, sun), times(SKYLIGHT, sky)))
}

fn hazy(colour: V3, distance: f64) -> V3 {
    mix(colour, HAZE, distance / (distance + 420.0))
}

/// A photo-like scene, 1200×800: sky, hills, a brick house, a path, a tree, a sign.
#[must_use]
pub fn scene() -> RgbImage {
    let mut canvas = Canvas::new();
    canvas.trace();
    canvas.plant();
    canvas.develop()
}

struct Canvas {
    colour: Vec<[f32; 3]>,
    depth: Vec<f32>,
}

impl Canvas {
    const W: usize = WIDTH * OVER;
    const H: usize = HEIGHT * OVER;

    fn new() -> Self {
        let n = Self::W * Self::H;
        Self { colour: vec![[0.0; 3]; n], depth: vec![f32::INFINITY; n] }
    }

    fn trace(&mut self) {
        for y in 0..Self::H {
            for x in 0..Self::W {
                let at = |i: usize| (i as f64 + 0.5) / OVER as f64;
                let (colour, depth) = trace(at(x), at(y));
                self.put(x, y, colour, depth);
            }
        }
    }

    fn put(&mut self, x: usize, y: usize, colour: V3, depth: f64) {
        self.colour[y * Self::W + x] = colour.map(|v| v as f32);
        self.depth[y * Self::W + x] = depth as f32;
    }

    /// Paints where `colour` answers and nothing nearer has been painted, `reach` pixels around a
    /// point in space. `colour` gets the distance from the point, in pixels.
    fn paint(&mut self, at: V3, reach: f64, colour: impl Fn(f64, f64) -> Option<V3>) {
        let (cx, cy) = project(at);
        let over = OVER as f64;
        let span = |c: f64, limit: usize| {
            let edge = |v: f64| (v * over).clamp(0.0, limit as f64) as usize;
            edge(c - reach)..edge(c + reach + 1.0)
        };
        for y in span(cy, Self::H) {
            for x in span(cx, Self::W) {
                if f64::from(self.depth[y * Self::W + x]) <= at[2] {
                    continue;
                }
                let (dx, dy) = ((x as f64 + 0.5) / over - cx, (y as f64 + 0.5) / over - cy);
                if let Some(colour) = colour(dx, dy) {
                    self.put(x, y, hazy(colour, at[2]), at[2]);
                }
            }
        }
    }

    /// A leaf: an ellipse `long` metres long, `turn` turns around.
    fn leaf(&mut self, at: V3, long: f64, turn: f64, colour: V3) {
        let a = 0.5 * long * FOCAL / at[2];
        let b = (a * 0.55).max(0.4);
        let (s, c) = (sin_turns(turn), sin_turns(turn + 0.25));
        self.paint(at, a, |dx, dy| {
            let (u, v) = ((dx * c + dy * s) / a, (dy * c - dx * s) / b);
            (u * u + v * v <= 1.0).then_some(if v > 0.0 { times(colour, 0.86) } else { colour })
        });
    }

    /// A limb: a round, tapered bar between two points at about the same distance.
    fn limb(&mut self, from: V3, to: V3, radii: (f64, f64), colour: V3) {
        let middle = times(add(from, to), 0.5);
        let ((x0, y0), (x1, y1), (xm, ym)) = (project(from), project(to), project(middle));
        let (lx, ly) = (x1 - x0, y1 - y0);
        let length = (lx * lx + ly * ly).sqrt();
        let scale = FOCAL / middle[2];
        self.paint(middle, 0.5 * length + radii.0 * scale, |dx, dy| {
            let (px, py) = (xm + dx - x0, ym + dy - y0);
            let along = ((px * lx + py * ly) / (length * length)).clamp(0.0, 1.0);
            let across = (py * lx - px * ly) / length;
            let radius = lerp(radii.0, radii.1, along) * scale;
            let over = px - along * lx;
            let off = (over * over + (py - along * ly) * (py - along * ly)).sqrt();
            if off > radius {
                return None;
            }
            let round = across / radius;
            let bark = fbm(across * 0.35, along * length * 0.05, 70, 2);
            let sun = (0.55 + 0.45 * round * lx.signum().max(ly.signum())).clamp(0.05, 1.0);
            Some(light(times(colour, 0.55 + 0.9 * bark), 0.7 * sun, 0.7))
        });
    }

    /// A ball of leaves, brighter towards the sun and the outside.
    fn foliage(&mut self, dice: &mut Dice, ball: &Foliage) {
        let sun = to_sun();
        for _ in 0..ball.leaves {
            let p = dice.ball();
            let r = dot(p, p).sqrt();
            let p = times(p, (0.55 + 0.45 * r) / r.max(0.01));
            let at = add(ball.centre, product(p, ball.radius));
            let facing = 0.5 + 0.5 * dot(p, sun);
            let bright = facing * facing * ball.sun * dice.between(0.7, 1.15);
            let colour = mix(ball.colours.0, ball.colours.1, dice.roll());
            let flower = dice.roll() < ball.flowers;
            let colour = if flower { tone(0.95, 0.52, 0.55) } else { colour };
            let turn = dice.roll();
            if at[1] > 0.02 {
                self.leaf(at, ball.leaf, turn, light(colour, bright, 0.25 + 0.6 * facing));
            }
        }
    }

    fn plant(&mut self) {
        let dice = &mut Dice::new(7);
        // Trees far away, in front of the hills.
        for _ in 0..18 {
            let z = dice.between(55.0, 110.0);
            let x = dice.between(-0.62, 0.62) * z;
            let r = dice.between(2.0, 4.0);
            self.foliage(
                dice,
                &Foliage {
                    centre: [x, r * 1.1, z],
                    radius: [r, r * 1.25, r],
                    leaves: 650,
                    leaf: 1.0,
                    colours: (tone(0.24, 0.36, 0.20), tone(0.38, 0.48, 0.24)),
                    flowers: 0.0,
                    sun: 0.9,
                },
            );
        }
        // Bushes along the front of the house.
        for (u, r) in [(0.9, 0.42), (1.7, 0.5), (2.5, 0.38), (5.3, 0.45), (6.2, 0.52), (7.1, 0.4)] {
            self.foliage(
                dice,
                &Foliage {
                    centre: House::world([u, r * 0.75, -0.5]),
                    radius: [r * 1.25, r, r],
                    leaves: 700,
                    leaf: 0.105,
                    colours: (tone(0.22, 0.38, 0.16), tone(0.42, 0.55, 0.22)),
                    flowers: 0.05,
                    sun: 1.1,
                },
            );
        }
        // The tree: trunk, branches, and clusters of leaves on the shell of its crown.
        let bark = tone(0.42, 0.35, 0.29);
        let fork = [TREE[0] - 0.1, 2.6, TREE[2]];
        self.limb([TREE[0] - 0.35, -0.1, TREE[2]], fork, (0.30, 0.19), bark);
        for (dx, dy, dz) in [
            (-1.5, 1.9, 0.2),
            (1.5, 1.7, -0.3),
            (0.3, 2.4, 0.3),
            (-0.6, 2.2, -0.5),
            (1.0, 2.6, 0.4),
        ] {
            self.limb(fork, add(fork, [dx, dy, dz]), (0.13, 0.05), bark);
        }
        for _ in 0..95 {
            let p = dice.ball();
            let p = times(p, (0.35 + 0.65 * dot(p, p)).sqrt());
            let inner = 0.5 + 0.5 * dot(unit(p), to_sun());
            let r = dice.between(0.45, 0.8);
            self.foliage(
                dice,
                &Foliage {
                    centre: add(TREE, times(p, CROWN)),
                    radius: [r, r * 0.75, r],
                    leaves: 150,
                    leaf: 0.17,
                    colours: (tone(0.24, 0.40, 0.12), tone(0.52, 0.60, 0.20)),
                    flowers: 0.0,
                    sun: 0.35 + 0.85 * inner,
                },
            );
        }
        // Posts of the sign.
        for s in [0.16, Sign::WIDTH - 0.16] {
            let [x, _, z] = Sign::world(s);
            let z = z + 0.06;
            self.limb([x, -0.05, z], [x, 1.62, z], (0.05, 0.05), tone(0.46, 0.36, 0.27));
        }
        // Blades of grass, where one could tell them apart.
        for _ in 0..8_500 {
            let near = dice.roll();
            let z = 4.0 + 9.0 * near * near;
            let x = dice.between(-0.62, 0.62) * z;
            let (tall, lean, turn) =
                (dice.between(0.05, 0.15), dice.between(-0.5, 0.5), dice.roll());
            if path(x, z) < 0.12 || House::local([x, 0.0, z])[2] > -0.1 {
                continue;
            }
            let sun = 0.85 * sunlit([x, 0.0, z]);
            let colour = mix(tone(0.30, 0.44, 0.15), tone(0.62, 0.68, 0.30), turn);
            let (h, w) = (tall * FOCAL / z, (0.008 * FOCAL / z).max(0.6));
            self.paint([x, tall * 0.5, z], h, |dx, dy| {
                let up = 0.5 - dy / h;
                let off = dx - lean * up * up * h * 0.5;
                let inside = (0.0..1.0).contains(&up) && off.abs() < w * (1.0 - up);
                inside.then(|| light(colour, sun * (0.35 + 0.65 * up), 0.4 + 0.5 * up))
            });
        }
    }

    /// Averages the samples of each pixel.
    fn develop(&self) -> RgbImage {
        RgbImage::from_fn(WIDTH as u32, HEIGHT as u32, |x, y| {
            let (mut sum, mut near) = ([0.0; 3], false);
            for (dx, dy) in (0..OVER).flat_map(|dy| (0..OVER).map(move |dx| (dx, dy))) {
                let at = (y as usize * OVER + dy) * Self::W + x as usize * OVER + dx;
                // Samples are limited first, so that edges of bright things stay smooth.
                sum = add(sum, self.colour[at].map(|v| f64::from(v).clamp(0.0, 1.0)));
                near |= self.depth[at] < 1e5;
            }
            // Steps of 3 cannot be seen in textures, and make the file a third smaller. The sky
            // and the hills keep all their values.
            let step = if near { 3.0 } else { 1.0 };
            let shown = |v: f64| 255.0 * (v / (OVER * OVER) as f64).sqrt();
            Rgb(sum.map(|v| (step * (shown(v) / step + 0.5).floor()) as u8))
        })
    }
}

struct Foliage {
    centre: V3,
    radius: V3,
    leaves: usize,
    /// Length of a leaf, in metres.
    leaf: f64,
    colours: (V3, V3),
    /// Share of leaves that are flowers.
    flowers: f64,
    /// How much sun comes through.
    sun: f64,
}

/// Middle and radius of the tree's crown.
const TREE: V3 = [-4.75, 4.6, 11.0];
const CROWN: f64 = 2.15;

/// The place of a point of space in the picture.
fn project(p: V3) -> (f64, f64) {
    (WIDTH as f64 / 2.0 + FOCAL * p[0] / p[2], HORIZON - FOCAL * (p[1] - EYE) / p[2])
}

/// Colour and distance of what is seen at a point of the picture.
fn trace(x: f64, y: f64) -> (V3, f64) {
    let eye = [0.0, EYE, 0.0];
    let ray = [(x - WIDTH as f64 / 2.0) / FOCAL, (HORIZON - y) / FOCAL, 1.0];
    let house = House::hit(eye, ray);
    let sign = Sign::hit(ray);
    let house_t = house.as_ref().map_or(f64::INFINITY, |h| h.t);
    let ground_t = if ray[1] < 0.0 { -EYE / ray[1] } else { f64::INFINITY };
    if let Some((t, s, up)) = sign.filter(|s| s.0 < house_t.min(ground_t)) {
        return (Sign::colour(s, up), t);
    }
    if let Some(hit) = house.filter(|h| h.t < ground_t) {
        let p = add(eye, times(ray, hit.t));
        return (hazy(hit.colour(p, ray), hit.t), hit.t);
    }
    if ground_t < 400.0 {
        return (hazy(ground(add(eye, times(ray, ground_t))), ground_t), ground_t);
    }
    (background(x, y), 1e6)
}

fn background(x: f64, y: f64) -> V3 {
    // Hills, the nearest first.
    let hills = [
        (18.0, 26.0, 170.0, 31, tone(0.36, 0.47, 0.33), 300.0),
        (36.0, 52.0, 240.0, 32, tone(0.36, 0.46, 0.42), 900.0),
        (62.0, 90.0, 330.0, 33, tone(0.40, 0.50, 0.58), 1800.0),
    ];
    for (low, high, wide, seed, colour, distance) in hills {
        let crest = low + high * fbm(x / wide, 0.5, seed, 3) + 2.5 * fbm(x / 7.0, 3.5, seed, 2);
        let up = HORIZON - y;
        if up < crest {
            let woods = fbm(x / 16.0, up / 5.0, seed + 40, 4);
            let slope =
                0.75 + 0.5 * (crest - fbm((x + 14.0) / wide, 0.5, seed, 3) * high - low) / 12.0;
            let sun = (slope * (0.45 + 0.9 * woods)).clamp(0.15, 1.1);
            return hazy(light(colour, sun, 0.8), distance);
        }
    }
    let up = ((HORIZON - y) / HORIZON).clamp(0.0, 1.0);
    let sky = mix(tone(0.86, 0.91, 0.95), tone(0.33, 0.55, 0.86), smooth(-0.1, 1.0, up));
    // Clouds, on a ceiling that recedes.
    let far = 1.0 / (up + 0.16);
    let (cx, cy) = ((x - 300.0) / 420.0 * far, far * 2.1);
    let cloud = fbm(cx, cy, 11, 5);
    let towards_sun = fbm(cx - 0.10, cy - 0.08, 11, 5);
    let cover = smooth(0.50, 0.72, cloud) * smooth(0.05, 0.35, up);
    let bright = (0.86 + 1.1 * (cloud - towards_sun)).clamp(0.72, 1.0);
    mix(sky, times(tone(1.0, 0.985, 0.965), bright), 0.92 * cover)
}

/// 0..1: how much of the sun reaches a point.
fn sunlit(p: V3) -> f64 {
    let sun = to_sun();
    if House::hit(add(p, times(sun, 0.01)), sun).is_some() {
        return 0.0;
    }
    // The crown: how near the ray passes to its middle, torn by leaves.
    let to = sub(TREE, p);
    let along = dot(to, sun);
    let off = sub(to, times(sun, along));
    let near = dot(off, off).sqrt() / (CROWN + 0.4);
    let torn = near + 0.75 * (fbm(p[0] * 2.2, (p[2] + p[1]) * 1.6, 50, 3) - 0.5);
    1.0 - 0.85 * (1.0 - smooth(0.80, 0.98, torn)) * f64::from(u8::from(along > 0.0))
}

/// Distance from the edge of the path, in metres; negative on it.
fn path(x: f64, z: f64) -> f64 {
    let t = ((z - 4.0) / 11.2).clamp(0.0, 1.2);
    let middle = lerp(0.9, 0.95, t) + 1.5 * t * (1.0 - t);
    (x - middle).abs() - 0.85 + 0.10 * (noise(z * 1.3, x, 61) - 0.5)
}

fn ground(p: V3) -> V3 {
    let (x, z) = (p[0], p[2]);
    let local = House::local(p);
    let beside = (-local[2]).max(-local[0]).max(local[0] - House::LENGTH).max(0.0);
    let open = 0.45 + 0.55 * smooth(0.0, 1.6, beside);
    let sun = 0.86 * sunlit(p);
    let edge = path(x, z);
    // Detail finer than a pixel would only flicker.
    let fine = 1.0 - smooth(6.0, 24.0, z);
    if z < 15.6 && edge < 0.0 {
        let (colour, height) = cobbles(x, z);
        let rim = smooth(0.0, 0.10, -edge);
        return light(times(colour, 0.75 + 0.25 * rim), sun * height, open * (0.35 + 0.6 * height));
    }
    let meadow = fbm(x * 0.35, z * 0.35, 62, 3);
    let tufts = fbm(x * 5.0, z * 3.0, 63, 2) - 0.5;
    let colour = mix(tone(0.33, 0.46, 0.17), tone(0.58, 0.62, 0.30), meadow);
    let colour = times(colour, 1.0 + 0.7 * fine * tufts);
    let colour = mix(tone(0.40, 0.36, 0.24), colour, smooth(0.0, 0.16, edge + 0.1 * tufts));
    // Far away: fields.
    let field = hash((x / 55.0 + z / 140.0).floor() as i64, (z / 38.0).floor() as i64, 64);
    let crop = mix(tone(0.60, 0.62, 0.30), tone(0.36, 0.50, 0.22), field);
    light(mix(colour, crop, smooth(40.0, 60.0, z)), sun, 0.9 * open)
}

/// Colour and height (0..1) of the path's stones.
fn cobbles(x: f64, z: f64) -> (V3, f64) {
    const SIZE: f64 = 0.27;
    let (u, v) = (x / SIZE, z / SIZE);
    let (mut first, mut second, mut stone) = (9.0, 9.0, (0, 0));
    for j in -1..=1 {
        for i in -1..=1 {
            let (cx, cy) = (u.floor() as i64 + i, v.floor() as i64 + j);
            let dx = cx as f64 + 0.5 + 0.7 * (hash(cx, cy, 65) - 0.5) - u;
            let dy = cy as f64 + 0.5 + 0.7 * (hash(cx, cy, 66) - 0.5) - v;
            let d = (dx * dx + dy * dy).sqrt();
            if d < first {
                (second, first, stone) = (first, d, (cx, cy));
            } else if d < second {
                second = d;
            }
        }
    }
    let gap = smooth(0.04, 0.22, second - first);
    let grey = 0.50 + 0.22 * hash(stone.0, stone.1, 67);
    let warm = 0.05 * hash(stone.0, stone.1, 68);
    let worn = 0.92 + 0.16 * noise(u * 3.0, v * 3.0, 69);
    let colour = times(tone(grey + warm, grey, grey - warm), worn);
    (mix(tone(0.30, 0.28, 0.22), colour, gap), 0.35 + 0.65 * gap * (1.0 - 0.35 * first))
}

/// The house, in its own coordinates: u along the front from its near corner, y up, w inwards.
struct House;

#[derive(Clone, Copy, PartialEq)]
enum Part {
    Front,
    Gable,
    Roof,
    Chimney,
    Hidden,
}

struct Hit {
    t: f64,
    part: Part,
    at: V3,
    normal: V3,
}

impl House {
    const CORNER: V3 = [4.3, 0.0, 12.6];
    const LENGTH: f64 = 8.0;
    const DEPTH: f64 = 6.0;
    const WALL: f64 = 4.5;
    const RIDGE: f64 = 6.7;
    const EAVES: f64 = 0.38;

    fn turn(p: V3) -> V3 {
        [-0.8 * p[0] + 0.6 * p[2], p[1], 0.6 * p[0] + 0.8 * p[2]]
    }

    fn local(p: V3) -> V3 {
        Self::turn(sub(p, Self::CORNER))
    }

    fn world(p: V3) -> V3 {
        // The turn is a reflection: its own inverse.
        add(Self::turn(p), Self::CORNER)
    }

    fn slope() -> f64 {
        (Self::RIDGE - Self::WALL) / (Self::DEPTH / 2.0)
    }

    fn roof_above(w: f64) -> f64 {
        Self::RIDGE - Self::slope() * (w - Self::DEPTH / 2.0).abs()
    }

    /// The nearest part on a ray, both in world coordinates.
    fn hit(from: V3, ray: V3) -> Option<Hit> {
        let (o, d) = (Self::local(from), Self::turn(ray));
        let mut best: Option<Hit> = None;
        let mut offer = |t: f64, part: Part, normal: V3, inside: &dyn Fn(V3) -> bool| {
            if t > 1e-6 && best.as_ref().is_none_or(|b| t < b.t) {
                let at = add(o, times(d, t));
                if inside(at) {
                    best = Some(Hit { t, part, at, normal });
                }
            }
        };
        let span = |v: f64, a: f64, b: f64| v >= a && v <= b;
        let (length, depth, eaves) = (Self::LENGTH, Self::DEPTH, Self::EAVES);
        for (w, part) in [(0.0, Part::Front), (depth, Part::Hidden)] {
            let face = |p: V3| span(p[0], 0.0, length) && span(p[1], 0.0, Self::WALL);
            offer((w - o[2]) / d[2], part, [0.0, 0.0, -1.0], &face);
        }
        for (u, part) in [(0.0, Part::Gable), (length, Part::Hidden)] {
            let face = |p: V3| span(p[2], 0.0, depth) && span(p[1], 0.0, Self::roof_above(p[2]));
            offer((u - o[0]) / d[0], part, [-1.0, 0.0, 0.0], &face);
        }
        let s = Self::slope();
        for (sign, from, to) in [(1.0, -eaves, depth / 2.0), (-1.0, depth / 2.0, depth + eaves)] {
            // y = RIDGE + sign · s · (w − DEPTH / 2), and a little thickness
            let height = Self::RIDGE + 0.06 + sign * s * (o[2] - depth / 2.0);
            let t = (height - o[1]) / (d[1] - sign * s * d[2]);
            let face = |p: V3| span(p[2], from, to) && span(p[0], -0.3, length + 0.3);
            offer(t, Part::Roof, unit([0.0, 1.0, -sign * s]), &face);
        }
        let (low, high) = ([5.3, 4.0, 2.55], [6.15, 7.7, 3.35]);
        for axis in 0..3 {
            for (side, plane) in [(-1.0, low[axis]), (1.0, high[axis])] {
                let mut normal = [0.0; 3];
                normal[axis] = side;
                let face = |p: V3| (0..3).all(|i| i == axis || span(p[i], low[i], high[i]));
                offer((plane - o[axis]) / d[axis], Part::Chimney, normal, &face);
            }
        }
        best
    }
}

impl Hit {
    fn colour(&self, world: V3, ray: V3) -> V3 {
        let [u, y, w] = self.at;
        let sun = House::turn(to_sun());
        let facing = dot(self.normal, sun).max(0.0);
        let lit = if facing > 0.0 { facing * sunlit(add(world, times(ray, -0.004))) } else { 0.0 };
        let (colour, lit) = match self.part {
            Part::Front => front(u, y, lit),
            Part::Gable => gable(w, y, lit),
            Part::Roof => (tiles(u, w), lit),
            Part::Chimney => (bricks(u + w, y), lit),
            Part::Hidden => (tone(0.3, 0.3, 0.3), lit),
        };
        let under_eaves = 0.65 + 0.35 * smooth(0.0, 0.7, House::WALL - y);
        let near_ground = 0.6 + 0.4 * smooth(0.0, 0.8, y);
        light(colour, lit, under_eaves * near_ground)
    }
}

fn bricks(u: f64, y: f64) -> V3 {
    const LONG: f64 = 0.30;
    const TALL: f64 = 0.10;
    let row = (y / TALL).floor();
    let shifted = u / LONG + 0.5 * fract(row * 0.5) * 2.0;
    let (fx, fy) = (fract(shifted), fract(y / TALL));
    let id = hash(shifted.floor() as i64, row as i64, 80);
    let joint = fx < 0.055 || fy < 0.16;
    let stain = 0.86 + 0.28 * fbm(u * 0.7, y * 0.7, 81, 3);
    let brick = mix(tone(0.60, 0.33, 0.24), tone(0.74, 0.45, 0.33), id);
    let brick = if id > 0.93 { tone(0.45, 0.27, 0.24) } else { brick };
    times(if joint { tone(0.70, 0.65, 0.58) } else { brick }, stain)
}

fn tiles(u: f64, w: f64) -> V3 {
    let (across, down) = (u / 0.26, (w + 1.0) / 0.30);
    let row = down.floor();
    let shifted = across + 0.5 * fract(row * 0.5) * 2.0;
    let (fx, fy) = (fract(shifted), fract(down));
    let id = hash(shifted.floor() as i64, row as i64, 82);
    let bulge = 0.72 + 0.5 * (4.0 * fx * (1.0 - fx));
    let lip = if fy < 0.16 { 0.55 } else { 1.0 };
    let moss = smooth(0.55, 0.75, fbm(u * 0.6, w * 0.8, 83, 3));
    let clay = mix(tone(0.50, 0.30, 0.25), tone(0.62, 0.38, 0.29), id);
    times(mix(clay, tone(0.42, 0.42, 0.28), 0.5 * moss), bulge * lip)
}

const STONE: V3 = tone(0.83, 0.80, 0.73);

/// The front: colour, and how much sun is left (less in window reveals).
fn front(u: f64, y: f64, lit: f64) -> (V3, f64) {
    let windows = [(1.5, 1.0), (6.5, 1.0), (1.5, 2.95), (4.0, 2.95), (6.5, 2.95)];
    for (centre, sill) in windows {
        if let Some(colour) = window(u - centre, y - sill, true) {
            return colour.shade(lit);
        }
    }
    if let Some(colour) = door(u - 4.0, y) {
        return colour.shade(lit);
    }
    if y < 0.45 {
        return (stones(u, y), lit);
    }
    (quoins(u.min(House::LENGTH - u), y).unwrap_or_else(|| bricks(u, y)), lit)
}

fn gable(w: f64, y: f64, lit: f64) -> (V3, f64) {
    for sill in [1.0, 2.95] {
        if let Some(colour) = window(w - House::DEPTH / 2.0, y - sill, false) {
            return colour.shade(lit);
        }
    }
    if y < 0.45 {
        return (stones(w, y), lit);
    }
    let beside = w.min(House::DEPTH - w);
    (quoins(beside, y).unwrap_or_else(|| bricks(w, y)), lit)
}

/// Corner stones, long and short in turn.
fn quoins(from_corner: f64, y: f64) -> Option<V3> {
    let row = (y / 0.3).floor();
    let long = if fract(row * 0.5) < 0.25 { 0.42 } else { 0.26 };
    let joint = fract(y / 0.3) < 0.05;
    let shade = 0.9 + 0.15 * hash(row as i64, 0, 84);
    (y < House::WALL && from_corner < long).then(|| times(STONE, if joint { 0.6 } else { shade }))
}

fn stones(u: f64, y: f64) -> V3 {
    let row = (y / 0.225).floor();
    let shifted = u / 0.55 + 0.37 * row;
    let joint = fract(shifted) < 0.03 || fract(y / 0.225) < 0.08;
    let id = hash(shifted.floor() as i64, row as i64, 85);
    times(STONE, if joint { 0.4 } else { 0.55 + 0.25 * id })
}

/// A colour, and the share of the sun that reaches it.
struct Paint(V3, f64);

impl Paint {
    fn shade(self, lit: f64) -> (V3, f64) {
        (self.0, lit * self.1)
    }
}

/// A window 1 m wide and 1.2 m high, its middle at 0 and its sill at 0.
fn window(u: f64, y: f64, shutters: bool) -> Option<Paint> {
    const HALF: f64 = 0.5;
    const TALL: f64 = 1.2;
    let side = u.abs();
    if (-0.10..0.0).contains(&y) && side < HALF + 0.14 {
        return Some(Paint(times(STONE, if y < -0.07 { 0.55 } else { 1.05 }), 1.0));
    }
    if (TALL..TALL + 0.2).contains(&y) && side < HALF + 0.12 {
        let joint = fract(u / 0.2) < 0.06;
        return Some(Paint(times(STONE, if joint { 0.6 } else { 0.95 }), 1.0));
    }
    if !(0.0..TALL).contains(&y) {
        return None;
    }
    if side >= HALF {
        // Shutters with slats.
        let x = side - HALF;
        if !shutters || !(0.03..0.50).contains(&x) {
            return None;
        }
        let frame = !(0.08..0.45).contains(&x) || !(0.06..TALL - 0.06).contains(&y);
        let frame = frame || (y - TALL / 2.0).abs() < 0.035;
        let slat = 0.62 + 0.55 * fract(y / 0.06);
        return Some(Paint(times(tone(0.20, 0.42, 0.40), if frame { 1.0 } else { slat }), 1.0));
    }
    let bar = !(0.03..HALF - 0.07).contains(&side) || !(0.06..TALL - 0.06).contains(&y);
    let bar = bar || (y - 0.42).abs() < 0.02 || (y - 0.80).abs() < 0.02;
    let reveal = if y > TALL - 0.13 { 0.15 } else { 1.0 };
    if bar {
        return Some(Paint(tone(0.93, 0.92, 0.88), 0.95 * reveal));
    }
    // Glass: the sky above, dark below, curtains at the sides.
    let sky = smooth(0.1, 1.2, y + 0.5 * u + 0.25 * noise(u * 3.0, y * 2.0, 86));
    let glass = mix(tone(0.10, 0.13, 0.16), tone(0.50, 0.62, 0.74), sky);
    let fold = 0.72 + 0.2 * sin_turns(u * 11.0);
    let curtain = side > 0.27 + 0.10 * (y / TALL - 0.5);
    Some(Paint(
        if curtain { mix(glass, tone(fold, fold, fold * 0.95), 0.5) } else { glass },
        reveal,
    ))
}

fn door(u: f64, y: f64) -> Option<Paint> {
    let side = u.abs();
    if y < 0.16 && side < 0.85 {
        return Some(Paint(times(STONE, if fract(y / 0.08) < 0.2 { 0.5 } else { 0.9 }), 1.0));
    }
    if y > 2.45 || side > 0.68 {
        return None;
    }
    if side > 0.52 || y > 2.28 {
        let joint = fract(y / 0.32) < 0.04;
        return Some(Paint(times(STONE, if joint { 0.6 } else { 1.0 }), 1.0));
    }
    if y > 2.0 {
        let bar = fract((u + 0.52) / 0.26) < 0.12 || y < 2.05;
        return Some(Paint(if bar { STONE } else { tone(0.25, 0.32, 0.38) }, 0.4));
    }
    let knob = (u - 0.38) * (u - 0.38) + (y - 1.05) * (y - 1.05) < 0.0025;
    let (px, py) = (fract((u + 0.52) / 0.52), fract((y - 0.16) / 0.62));
    let edge = px.min(1.0 - px).min((py.min(1.0 - py)) * 1.2);
    let wood = tone(0.55, 0.17, 0.14);
    let panel = if (0.12..0.17).contains(&edge) {
        0.6
    } else {
        1.0 + 0.1 * f64::from(u8::from(edge > 0.17))
    };
    Some(Paint(if knob { tone(0.95, 0.85, 0.5) } else { times(wood, panel) }, 0.9))
}

/// The sign: boards with lettering, standing across the view at a slight angle.
struct Sign;

impl Sign {
    const LEFT: V3 = [-2.95, 0.66, 5.15];
    const WIDTH: f64 = 1.82;
    const HEIGHT: f64 = 0.84;
    /// Direction of the lettering in the plane.
    const ALONG: (f64, f64) = (0.96, 0.28);

    fn world(s: f64) -> V3 {
        add(Self::LEFT, [s * Self::ALONG.0, 0.0, s * Self::ALONG.1])
    }

    /// Distance, and the place on the board: from the left, and up.
    fn hit(ray: V3) -> Option<(f64, f64, f64)> {
        let (ax, az) = Self::ALONG;
        let t = (Self::LEFT[0] * az - Self::LEFT[2] * ax) / (ray[0] * az - ray[2] * ax);
        let s = (ray[0] * t - Self::LEFT[0]) * ax + (ray[2] * t - Self::LEFT[2]) * az;
        let up = EYE + ray[1] * t - Self::LEFT[1];
        let inside = (0.0..Self::WIDTH).contains(&s) && (0.0..Self::HEIGHT).contains(&up);
        (t > 0.0 && inside).then_some((t, s, up))
    }

    fn colour(s: f64, up: f64) -> V3 {
        let edge = s.min(Self::WIDTH - s).min(up).min(Self::HEIGHT - up);
        let plank = (up / 0.21).floor();
        let gap = fract(up / 0.21) < 0.022;
        let grain = fbm(s * 2.5 + plank * 7.0, up * 60.0, 90, 2);
        let wood = mix(tone(0.20, 0.29, 0.25), tone(0.29, 0.38, 0.32), grain);
        let wood = times(wood, 0.9 + 0.2 * hash(plank as i64, 1, 91));
        let paint = tone(0.95, 0.93, 0.85);
        let mut colour = if gap { times(wood, 0.35) } else { wood };
        if (0.035..0.047).contains(&edge) {
            colour = paint;
        }
        let lines = [
            ("TWO PASSES", 0.60, 0.145, 0.020),
            ("COLUMNS FIRST THEN ROWS", 0.455, 0.060, 0.0085),
            ("3X3   5X5   7X7   15X15", 0.315, 0.070, 0.0095),
            ("A KERNEL OF RANK ONE IS A COLUMN TIMES A ROW", 0.205, 0.030, 0.0048),
            ("NINE TAPS BECOME SIX AND THIRTY ONE SQUARED", 0.145, 0.030, 0.0048),
            ("BECOMES TWICE THIRTY ONE WITH THE SAME RESULT", 0.085, 0.030, 0.0048),
        ];
        let written = lines.iter().any(|&(text, base, tall, pen)| {
            let width = text.len() as f64 * tall;
            lettering(
                text,
                (s - (Self::WIDTH - width) / 2.0) / tall,
                (up - base) / tall,
                pen / tall,
            )
        });
        if written || ((0.555..0.561).contains(&up) && (0.25..1.57).contains(&s)) {
            colour = paint;
        }
        if [(0.09, 0.10), (0.09, 0.74), (1.73, 0.10), (1.73, 0.74)]
            .iter()
            .any(|(x, y)| (s - x) * (s - x) + (up - y) * (up - y) < 0.00018)
        {
            colour = tone(0.15, 0.15, 0.15);
        }
        light(colour, 0.72, 0.85)
    }
}

/// Whether a pen stroke of `text` covers the point (`x`, `y`). Letters are 1 high and 1 apart.
fn lettering(text: &str, x: f64, y: f64, pen: f64) -> bool {
    if !(-0.2..1.2).contains(&y) || x < 0.0 {
        return false;
    }
    let Some(letter) = text.as_bytes().get(x as usize) else { return false };
    let (x, y) = (fract(x) - 0.16, y);
    strokes(*letter).split_ascii_whitespace().any(|stroke| {
        let mut at = stroke.bytes().zip([0.17, 1.0 / 6.0].into_iter().cycle());
        let mut next = || at.next().map_or(0.0, |(digit, unit)| f64::from(digit - b'0') * unit);
        let (x0, y0, x1, y1) = (next(), next(), next(), next());
        let (lx, ly) = (x1 - x0, y1 - y0);
        let t = (((x - x0) * lx + (y - y0) * ly) / (lx * lx + ly * ly)).clamp(0.0, 1.0);
        let (dx, dy) = (x - x0 - t * lx, y - y0 - t * ly);
        dx * dx + dy * dy < pen * pen / 4.0
    })
}

/// The strokes of a letter: "x0 y0 x1 y1", one digit each, on a grid 4 wide and 6 high.
fn strokes(letter: u8) -> &'static str {
    match letter {
        b'A' => "0026 2640 1232",
        b'B' => "0006 0636 3645 4544 4433 3303 3342 4241 4130 3000",
        b'C' => "4536 3616 1605 0501 0110 1030 3041",
        b'D' => "0006 0626 2644 4442 4220 2000",
        b'E' => "4606 0600 0040 0333",
        b'F' => "4606 0600 0333",
        b'H' => "0006 4046 0343",
        b'I' => "2026",
        b'K' => "0006 4602 1340",
        b'L' => "0600 0040",
        b'M' => "0006 0623 2346 4640",
        b'N' => "0006 0640 4046",
        b'O' => "1636 3645 4541 4130 3010 1001 0105 0516",
        b'P' => "0006 0636 3645 4544 4433 3303",
        b'Q' => "1636 3645 4541 4130 3010 1001 0105 0516 2240",
        b'R' => "0006 0636 3645 4544 4433 3303 2340",
        b'S' => "4536 3616 1605 0504 0413 1333 3342 4241 4130 3010 1001",
        b'T' => "0646 2620",
        b'U' => "0601 0110 1030 3041 4146",
        b'W' => "0610 1024 2430 3046",
        b'X' => "0046 0640",
        b'Y' => "0623 2346 2320",
        b'1' => "1526 2620",
        b'3' => "0516 1636 3645 4544 4433 3342 4241 4130 3010 1001 3323",
        b'5' => "4606 0604 0434 3443 4341 4130 3010 1001",
        b'7' => "0646 4610",
        _ => "",
    }
}

// ---------------------------------------------------------------------------------------------
// The chart

/// Grey as a share of full scale, at the centre of a pixel.
type Grey = fn(f64, f64) -> f64;

/// A test chart, 640×480 in 16 bits: zone plate, star, slanted edges, line groups, ramps, dots.
#[must_use]
pub fn chart() -> ImageBuffer<Luma<u16>, Vec<u16>> {
    // x, y, width, height, samples per pixel a side, what is there
    let fields: [(u32, u32, u32, u32, u32, Grey); 10] = [
        (16, 16, 208, 208, 1, zone_plate),
        (232, 16, 208, 208, 8, star),
        (448, 16, 176, 100, 8, slanted_edges),
        (448, 124, 176, 100, 1, fading_waves),
        (16, 232, 296, 92, 1, |x, _| lines(x, 10.0)),
        (320, 232, 92, 92, 1, |_, y| lines(y, 6.0)),
        (420, 232, 92, 92, 1, checks),
        (520, 232, 104, 92, 1, dots),
        (16, 332, 608, 44, 1, |x, _| x / 608.0),
        (16, 384, 608, 40, 1, |x, _| (x / 38.0).floor() / 15.0),
    ];
    let mut image = ImageBuffer::from_pixel(640, 480, Luma([0x8000]));
    for (left, top, width, height, over, grey) in fields {
        for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
            let at = |i: u32, k: u32| f64::from(i) + (f64::from(k) + 0.5) / f64::from(over);
            let mut sum = 0.0;
            for (i, j) in (0..over).flat_map(|j| (0..over).map(move |i| (i, j))) {
                sum += grey(at(x, i), at(y, j)).clamp(0.0, 1.0);
            }
            let value = (65535.0 * sum / f64::from(over * over) + 0.5) as u16;
            image.put_pixel(left + x, top + y, Luma([value]));
        }
    }
    // A frame of single pixels, to see that borders are right.
    for (x, y, pixel) in image.enumerate_pixels_mut() {
        let edge = x.min(639 - x).min(y.min(479 - y));
        if edge < 4 {
            *pixel = Luma([if (x / 4 + y / 4) % 2 == 0 { 0xffff } else { 0 }]);
        }
        // The last band: a ramp of single 16-bit steps around the middle.
        if (432..464).contains(&y) && (16..624).contains(&x) {
            *pixel = Luma([(0x8000 - 304 + (x - 16)) as u16]);
        }
    }
    image
}

/// Rings whose frequency rises to just below half a cycle per pixel at the sides.
fn zone_plate(x: f64, y: f64) -> f64 {
    let (dx, dy) = (x - 104.0, y - 104.0);
    let value = 0.5 + 0.5 * sin_turns((dx * dx + dy * dy) / 440.0 + 0.25);
    // 12 bits: more than 8, and still small in a file.
    (value * 4095.0 + 0.5).floor() / 4095.0
}

/// A Siemens star of 36 pairs of sectors.
fn star(x: f64, y: f64) -> f64 {
    let (dx, dy) = (x - 104.0, y - 104.0);
    let r = (dx * dx + dy * dy).sqrt();
    if r > 100.0 {
        return 0.5;
    }
    // The sign of sin 36θ, by squaring the point as a complex number of length 1.
    let multiply = |a: (f64, f64), b: (f64, f64)| (a.0 * b.0 - a.1 * b.1, a.0 * b.1 + a.1 * b.0);
    let one = (dx / r, dy / r);
    let four = (0..2).fold(one, |z, _| multiply(z, z));
    let thirty_two = (0..3).fold(four, |z, _| multiply(z, z));
    if multiply(thirty_two, four).1 > 0.0 { 0.9 } else { 0.1 }
}

/// A bright square turned by about 5°, on dark.
fn slanted_edges(x: f64, y: f64) -> f64 {
    let (dx, dy) = (x - 88.0, y - 50.0);
    let (u, v) = (dx + 0.0875 * dy, dy - 0.0875 * dx);
    if u.abs() < 60.0 && v.abs() < 34.0 { 0.8 } else { 0.2 }
}

/// Waves that rise in frequency to the right and fade downwards.
fn fading_waves(x: f64, y: f64) -> f64 {
    let fade = 1.0 - y / 100.0;
    let wave = sin_turns(x * (0.02 + x * 0.0011));
    ((0.5 + 0.4 * fade * fade * wave) * 1023.0 + 0.5).floor() / 1023.0
}

/// Groups of black lines on white, 1, 2, 3, 4, 6 and 8 pixels wide: `count` lines and gaps of
/// each, and 8 pixels to the next group.
fn lines(x: f64, count: f64) -> f64 {
    let mut start = 0.0;
    for wide in [1.0, 2.0, 3.0, 4.0, 6.0, 8.0] {
        let line = ((x - start) / wide).floor();
        if line < count {
            return if fract(line / 2.0) == 0.0 { 0.0 } else { 1.0 };
        }
        start += count * wide + 8.0;
        if x < start {
            break;
        }
    }
    1.0
}

/// Checks of 1, 2, 4 and 8 pixels, one in each quarter.
fn checks(x: f64, y: f64) -> f64 {
    let size = match (x < 46.0, y < 46.0) {
        (true, true) => 1.0,
        (false, true) => 2.0,
        (true, false) => 4.0,
        (false, false) => 8.0,
    };
    let sum = (x / size).floor() + (y / size).floor();
    if fract(sum / 2.0) == 0.0 { 0.95 } else { 0.05 }
}

/// Single bright pixels on black above, dark on white below: the kernel shows itself.
fn dots(x: f64, y: f64) -> f64 {
    let on = (x.floor() as u32 + 10) % 26 == 23 && y.floor() as u32 % 23 == 11;
    let (dot, ground) = if y < 46.0 { (1.0, 0.0) } else { (0.0, 1.0) };
    if on { dot } else { ground }
}

// ---------------------------------------------------------------------------------------------
// Soft alpha

/// Soft discs and leaves, 480×360. Where nothing is visible the colour is a check of magenta and
/// green, which shows at every edge if alpha is mishandled.
#[must_use]
pub fn soft_alpha() -> RgbaImage {
    RgbaImage::from_fn(480, 360, |x, y| {
        let (x, y) = (f64::from(x) + 0.5, f64::from(y) + 0.5);
        let (mut colour, mut alpha) = ([0.0; 3], 0.0);
        for (layer, opacity) in soft_layers(x, y) {
            // Over, with colour kept free of alpha.
            let out = opacity + alpha * (1.0 - opacity);
            if out > 0.0 {
                colour = mix(colour, layer, opacity / out);
            }
            alpha = out;
        }
        let alpha = (255.0 * alpha + 0.5) as u8;
        if alpha == 0 {
            let check = ((x / 12.0).floor() + (y / 12.0).floor()) / 2.0;
            return if fract(check) == 0.0 { Rgba([255, 0, 255, 0]) } else { Rgba([0, 255, 0, 0]) };
        }
        let [r, g, b] = colour.map(|v| (255.0 * v.clamp(0.0, 1.0) + 0.5) as u8);
        Rgba([r, g, b, alpha])
    })
}

/// Colour and opacity of each shape at a point, the lowest first.
fn soft_layers(x: f64, y: f64) -> Vec<(V3, f64)> {
    let mut layers = Vec::new();
    // Discs: middle, radius, softness, colour.
    let discs = [
        (118.0, 112.0, 70.0, 44.0, [0.96, 0.72, 0.22]),
        (196.0, 128.0, 46.0, 4.0, [0.20, 0.45, 0.80]),
        (372.0, 92.0, 58.0, 58.0, [0.90, 0.93, 0.98]),
        (404.0, 120.0, 34.0, 16.0, [0.75, 0.24, 0.30]),
    ];
    for (cx, cy, radius, soft, colour) in discs {
        let (dx, dy) = (x - cx, y - cy);
        let r = (dx * dx + dy * dy).sqrt();
        let shade = 1.0 - 0.25 * ((dx + dy) / (2.0 * radius)).clamp(-1.0, 1.0);
        layers.push((
            times(colour, shade),
            1.0 - smooth(radius - soft / 2.0, radius + soft / 2.0, r),
        ));
    }
    // Leaves: middle, direction (a unit vector), length, softness, colour.
    let leaves = [
        (262.0, 210.0, (0.8, 0.6), 96.0, 3.0, [0.30, 0.52, 0.16]),
        (316.0, 176.0, (0.6, -0.8), 84.0, 9.0, [0.46, 0.62, 0.20]),
        (214.0, 240.0, (0.96, -0.28), 74.0, 18.0, [0.22, 0.40, 0.22]),
        (420.0, 236.0, (-0.28, 0.96), 70.0, 5.0, [0.70, 0.50, 0.14]),
        (70.0, 232.0, (0.6, 0.8), 72.0, 26.0, [0.62, 0.26, 0.12]),
    ];
    for (cx, cy, (ax, ay), length, soft, colour) in leaves {
        let (dx, dy) = (x - cx, y - cy);
        let (u, v) = (dx * ax + dy * ay, dy * ax - dx * ay);
        // Two circles of radius `length` that meet at the tips, 0.6 · length from the middle.
        let off = 0.8 * length;
        let distance = (u * u + (v.abs() + off) * (v.abs() + off)).sqrt() - length;
        let vein = v.abs().min((fract((u + v.abs()) / 14.0) - 0.5).abs() * 14.0 + 0.6);
        let shade = 0.78 + 0.22 * smooth(0.4, 2.0, vein) + 0.12 * (v / length);
        layers.push((times(colour, shade), 1.0 - smooth(-soft, soft, distance)));
    }
    // A bar whose alpha rises from 0 to 1, in bands of colour.
    let (left, right) = (24.0, 456.0);
    let bands = [[0.85, 0.15, 0.15], [0.15, 0.55, 0.85], [0.95, 0.95, 0.95], [0.10, 0.10, 0.10]];
    if (304.0..340.0).contains(&y) && (left..right).contains(&x) {
        let along = (x - left) / (right - left);
        layers.push((bands[((y - 304.0) / 9.0) as usize], along));
    }
    layers
}
