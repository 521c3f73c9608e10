//! TIFF files, read and written with the directory of the crate `tiff`: `read` makes pixels of strips and tiles, which
//! `chunks` decompresses, `tags` keeps what a file says beside its pixels, `write` writes all of it.

mod chunks;
mod read;
mod tags;
mod write;

pub use read::Reader;
pub use tags::{Page, lost, pages};
pub use write::{Compressor, Writer, write};
