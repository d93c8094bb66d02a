//! Reports: sections on the disk, drawn as one HTML page, SVG figures and CSV tables. Nothing is computed here.

mod axis;
pub mod figure;
pub mod html;
mod rich;
pub mod section;
pub mod shade;
mod simplify;
mod space;
pub mod store;
pub mod svg;
pub mod table;
