//! A report on the disk.
//!
//! ```text
//! DIR/report.json             heading, and the sections in order
//! DIR/answers/ID.json         a section: words, tables, figures, as data
//! DIR/report.html             drawn from these, and so are
//! DIR/figures/ID.svg .csv .csv.meta.json
//! DIR/tables/ID.csv  .csv.meta.json
//! ```

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    figure::Figure,
    html::{self, Heading},
    section::{Section, is_name},
    svg,
    table::Table,
};
use crate::{
    Error, Result,
    artifact::{Staged, describe, read_text, write_atomic, write_json},
};

/// Heading and order of the sections.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Index {
    heading: Heading,
    sections: Vec<String>,
}

/// Saves answers as data. [`draw`] makes the page.
///
/// # Errors
/// A file or folder that cannot be written.
pub fn save(dir: &Path, heading: &Heading, answers: &[Section]) -> Result<()> {
    make(&dir.join("answers"))?;
    for answer in answers {
        write_json_line(
            &dir.join("answers").join(format!("{}.json", answer.id)),
            answer,
        )?;
    }
    let sections = answers.iter().map(|a| a.id.clone()).collect();
    write_json(
        &dir.join("report.json"),
        &Index {
            heading: heading.clone(),
            sections,
        },
    )
}

/// Reads saved answers and draws them: `report.html`, SVG and CSV of every figure, CSV of every table.
///
/// # Errors
/// A folder without a report, an answer that is missing or damaged, a file that cannot be written.
pub fn draw(dir: &Path) -> Result<()> {
    let index: Index = read(&dir.join("report.json"))?;
    let mut answers = Vec::new();
    for id in &index.sections {
        if !is_name(id) {
            return Err(Error::Input(format!(
                "{}: '{id}' is no name of a section",
                dir.join("report.json").display()
            )));
        }
        let path = dir.join("answers").join(format!("{id}.json"));
        let answer: Section = read(&path)?;
        answer
            .check()
            .map_err(|message| Error::Input(format!("{}: {message}", path.display())))?;
        answers.push(answer);
    }
    make(&dir.join("figures"))?;
    make(&dir.join("tables"))?;
    for answer in &answers {
        answer
            .figures()
            .try_for_each(|f| write_figure(&dir.join("figures"), f))?;
        answer
            .tables()
            .try_for_each(|t| write_table(&dir.join("tables"), t))?;
    }
    let page = html::page(&index.heading, &answers);
    Ok(write_atomic(&dir.join("report.html"), |w| {
        w.write_all(page.as_bytes())
    })?)
}

fn write_figure(dir: &Path, figure: &Figure) -> Result<()> {
    write_atomic(&dir.join(format!("{}.svg", figure.id)), |w| {
        w.write_all(svg::draw(figure).as_bytes())
    })?;
    let csv = dir.join(format!("{}.csv", figure.id));
    let data = Staged::new(&csv, |w| w.write_all(figure.to_csv().as_bytes()))?;
    let axis =
        |a: &super::figure::Axis| json!({ "label": super::rich::plain(&a.label), "unit": a.unit });
    let panels: Vec<_> = figure
        .panels
        .iter()
        .enumerate()
        .map(|(k, p)| json!({ "panel": k + 1, "title": super::rich::plain(&p.title), "x": axis(&p.x), "y": axis(&p.y), "z": p.z.as_ref().map(axis) }))
        .collect();
    commit(
        data,
        &json!({ "title": figure.title, "caption": super::rich::plain(&figure.caption), "panels": panels }),
    )
}

fn write_table(dir: &Path, table: &Table) -> Result<()> {
    let csv = dir.join(format!("{}.csv", table.id));
    let data = Staged::new(&csv, |w| w.write_all(table.to_csv().as_bytes()))?;
    let columns: Vec<_> = table
        .columns
        .iter()
        .map(|c| json!({ "name": super::rich::plain(&c.name), "unit": c.unit }))
        .collect();
    commit(
        data,
        &json!({ "caption": super::rich::plain(&table.caption), "columns": columns }),
    )
}

fn commit(data: Staged, meta: &Value) -> Result<()> {
    let about = describe(&data, meta)?;
    data.commit()?;
    Ok(about.commit()?)
}

/// Makes a folder and those above it.
///
/// # Errors
/// The folder cannot be made.
pub fn make(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).map_err(|e| Error::write(dir, e))
}

/// Curves are long: their JSON is written without a line for each number.
fn write_json_line(path: &Path, value: &impl Serialize) -> Result<()> {
    Ok(write_atomic(path, |w| {
        Ok(serde_json::to_writer(w, value)?)
    })?)
}

fn read<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<T> {
    serde_json::from_str(&read_text(path)?).map_err(|e| {
        Error::Input(format!(
            "{}: {e}; expected a file written by ionoscope",
            path.display()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::figure::{Axis, Panel, Role, Series};

    fn folder(name: &str) -> std::path::PathBuf {
        let dir =
            std::env::temp_dir().join(format!("ionoscope-report-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        make(&dir).unwrap();
        dir
    }

    #[test]
    fn a_report_is_drawn_from_its_files_alone() {
        let dir = folder("draw");
        let panel = Panel::new("", Axis::new("V_{S}", "mV"), Axis::new("d", "1"))
            .with(Series::line("x", Role::Data, vec![1.0], vec![2.0]));
        let answer = Section::new("one", "One").with(crate::report::section::Part::Figure(
            Figure::new("figure-1", "F", "c").with(panel),
        ));
        let heading = Heading {
            title: "T".into(),
            subtitle: "s".into(),
            footer: vec![],
        };
        save(&dir, &heading, std::slice::from_ref(&answer)).unwrap();
        draw(&dir).unwrap();
        assert_eq!(
            fs::read_to_string(dir.join("report.html")).unwrap(),
            html::page(&heading, &[answer])
        );
        assert_eq!(
            fs::read_to_string(dir.join("figures/figure-1.csv")).unwrap(),
            "panel,series,x,y\n1,x,1,2\n"
        );
        let meta = fs::read_to_string(dir.join("figures/figure-1.csv.meta.json")).unwrap();
        assert!(
            meta.contains("\"V_S\"") && meta.contains("\"mV\""),
            "{meta}"
        );
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn what_is_no_report_is_refused() {
        let dir = folder("refuse");
        assert!(draw(&dir).unwrap_err().is_input());
        for text in [
            "",
            "{}",
            "{\"heading\":{\"title\":\"\",\"subtitle\":\"\",\"footer\":[]},\"sections\":[\"../x\"]}",
        ] {
            fs::write(dir.join("report.json"), text).unwrap();
            let e = draw(&dir).unwrap_err();
            assert!(e.is_input() && e.to_string().contains("report.json"), "{e}");
        }
        fs::remove_dir_all(&dir).unwrap();
    }
}
