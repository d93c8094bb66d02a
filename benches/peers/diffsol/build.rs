//! Links the cells of `benches/peers/cells.c`, which `benches/prepare.sh` has compiled into a folder named by CELLS.
fn main() {
    println!("cargo:rerun-if-env-changed=CELLS");
    let folder = std::env::var("CELLS").expect("CELLS names the folder of libcells.a: build with benches/prepare.sh");
    println!("cargo:rerun-if-changed={folder}/libcells.a");
    println!("cargo:rustc-link-search={folder}");
    println!("cargo:rustc-link-lib=static=cells");
}
