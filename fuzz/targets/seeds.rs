//! Writes a valid file for each target to `corpus/TARGET/valid`, from which fuzzing starts.

fn main() -> std::io::Result<()> {
    for (target, bytes) in ionoscope_fuzz::valid::all() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("valid"), bytes)?;
    }
    Ok(())
}
