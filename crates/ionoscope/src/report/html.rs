//! One page that holds everything: no network, no other file.

use std::fmt::Write;

use super::{
    rich,
    section::{Part, Section},
    svg,
    table::{Cell, Column, Table, number},
};

/// The heading of a report.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Heading {
    /// Title of the page.
    pub title: String,
    /// One line under it.
    pub subtitle: String,
    /// The lines at the end: version, command, machine.
    pub footer: Vec<String>,
}

const STYLE: &str = include_str!("page.css");

/// The page: heading, contents, and a section for each answer.
pub fn page(heading: &Heading, answers: &[Section]) -> String {
    let mut out = String::with_capacity(1 << 20);
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, \
         initial-scale=1\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{}</h1>\n<p>{}</p>\n</header>\n<nav \
         aria-label=\"Contents\"><ol>",
        rich::escape(&rich::plain(&heading.title)),
        rich::html(&heading.title),
        rich::html(&heading.subtitle)
    );
    for answer in answers {
        let _ = write!(
            out,
            "<li><a href=\"#{}\">{}</a></li>",
            rich::escape(&answer.id),
            rich::html(&answer.title)
        );
    }
    out.push_str("</ol></nav>\n<main>\n");
    for answer in answers {
        section(&mut out, answer);
    }
    out.push_str("</main>\n<footer>\n");
    for line in &heading.footer {
        let _ = writeln!(out, "<p>{}</p>", rich::html(line));
    }
    out.push_str("</footer>\n</body>\n</html>\n");
    out
}

fn section(out: &mut String, answer: &Section) {
    let id = rich::escape(&answer.id);
    let _ = writeln!(
        out,
        "<section id=\"{id}\">\n<h2><a href=\"#{id}\">{}</a></h2>",
        rich::html(&answer.title)
    );
    for part in &answer.parts {
        match part {
            Part::Text(text) => drop(writeln!(out, "<p>{}</p>", rich::html(text))),
            Part::Note(text) => drop(writeln!(out, "<p class=\"note\">{}</p>", rich::html(text))),
            Part::Command(text) => drop(writeln!(out, "<pre>{}</pre>", rich::escape(text))),
            Part::Listing { title, text } => {
                let (title, text) = (rich::html(title), rich::escape(text));
                let _ = writeln!(
                    out,
                    "<details><summary>{title}</summary><pre>{text}</pre></details>"
                );
            }
            Part::Facts(facts) => {
                out.push_str("<div class=\"facts\">");
                for fact in facts {
                    let _ = write!(
                        out,
                        "<div><b>{}</b><span>{}</span></div>",
                        rich::html(&fact.value),
                        rich::html(&fact.text)
                    );
                }
                out.push_str("</div>\n");
            }
            Part::Table(t) => table(out, t),
            Part::Figure(f) => {
                let _ = writeln!(
                    out,
                    "<figure id=\"{}\">\n{}<figcaption><b>{}.</b> {}</figcaption>\n</figure>",
                    rich::escape(&f.id),
                    svg::draw(f),
                    rich::html(&f.title),
                    rich::html(&f.caption)
                );
            }
        }
    }
    out.push_str("</section>\n");
}

fn table(out: &mut String, table: &Table) {
    let (id, caption) = (rich::escape(&table.id), rich::html(&table.caption));
    // Many columns are set smaller, so that most pages show them all.
    let class = if table.columns.len() > 9 {
        " class=\"dense\""
    } else {
        ""
    };
    if table.folded {
        let _ = write!(
            out,
            "<details id=\"{id}\"><summary>{caption}</summary><div class=\"wide\"><table{class}>"
        );
    } else {
        let _ = write!(
            out,
            "<div class=\"wide\" id=\"{id}\"><table{class}><caption>{caption}</caption>"
        );
    }
    out.push_str("<thead><tr>");
    let numeric: Vec<bool> = (0..table.columns.len())
        .map(|c| {
            table
                .rows
                .iter()
                .any(|r| matches!(r.get(c), Some(Cell::Number(_))))
        })
        .collect();
    for (column, numeric) in table.columns.iter().zip(&numeric) {
        let unit = if matches!(column.unit.as_str(), "" | "1") {
            String::new()
        } else {
            format!(" <small>({})</small>", rich::html(&column.unit))
        };
        let class = if *numeric { " class=\"n\"" } else { "" };
        let _ = write!(
            out,
            "<th scope=\"col\"{class}>{}{unit}</th>",
            rich::html(&column.name)
        );
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in &table.rows {
        out.push_str("<tr>");
        for ((cell, column), numeric) in row.iter().zip(&table.columns).zip(&numeric) {
            out.push_str(&self::cell(cell, column, *numeric));
        }
        out.push_str("</tr>\n");
    }
    out.push_str(if table.folded {
        "</tbody></table></div></details>\n"
    } else {
        "</tbody></table></div>\n"
    });
}

fn cell(cell: &Cell, column: &Column, numeric: bool) -> String {
    let class = if numeric { " class=\"n\"" } else { "" };
    match cell {
        Cell::Number(v) => format!(
            "<td class=\"n\">{}</td>",
            rich::html(&number(*v, column.format))
        ),
        Cell::Text(t) => format!("<td{class}>{}</td>", rich::html(t)),
        // A word beside the color: color alone says nothing to some.
        Cell::Verdict { met, text } => {
            let kind = if *met { "met" } else { "missed" };
            let text = if text.is_empty() {
                String::new()
            } else {
                format!(" {}", rich::html(text))
            };
            format!("<td><span class=\"{kind}\">{kind}</span>{text}</td>")
        }
        Cell::Empty(()) => format!("<td{class}>\u{2013}</td>"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{
        figure::{Axis, Figure, Panel, Role, Series},
        section::Fact,
        table::Format,
    };

    #[test]
    fn a_page_is_well_formed_and_stands_alone() {
        let mut t = Table::new(
            "t",
            "numbers & <words>",
            vec![
                Column::text("what"),
                Column::number("V_{S}", "mV", Format::Fixed(1)),
            ],
        );
        t.push(vec!["a < b".into(), (-36.0).into()]);
        t.push(vec![
            Cell::Verdict {
                met: false,
                text: "by 2".into(),
            },
            f64::NAN.into(),
        ]);
        let panel = Panel::new("", Axis::new("t", "s"), Axis::new("V", "mV")).with(Series::line(
            "x",
            Role::Network,
            vec![0.0, 1.0],
            vec![0.0, 1.0],
        ));
        let answers = [Section::new("one", "First & foremost")
            .text("A `code` word")
            .with(Part::Note("missed".into()))
            .with(Part::Facts(vec![Fact {
                value: "1 mV".into(),
                text: "small".into(),
            }]))
            .with(Part::Command("ionoscope reproduce <x>".into()))
            .with(Part::Listing {
                title: "all".into(),
                text: "{ \"a\": 1 & 2 }".into(),
            })
            .with(Part::Table(t.clone().folded()))
            .with(Part::Table(Table {
                id: "u".into(),
                ..t
            }))
            .with(Part::Figure(
                Figure::new("f", "Figure 1", "Look here").with(panel),
            ))];
        let heading = Heading {
            title: "T & t".into(),
            subtitle: "s".into(),
            footer: vec!["end".into()],
        };
        let html = page(&heading, &answers);
        // Void elements apart, the page is XML as well, which a parser can check.
        let xml = html
            .replace("<!doctype html>\n", "")
            .replace("initial-scale=1\">", "initial-scale=1\"/>")
            .replace("utf-8\">", "utf-8\"/>");
        let document = roxmltree::Document::parse(&xml).expect("well-formed");
        let mut ids: Vec<_> = document
            .descendants()
            .filter_map(|n| n.attribute("id"))
            .collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(count, ids.len(), "an id twice");
        for link in document.descendants().filter_map(|n| n.attribute("href")) {
            assert!(ids.contains(&link.trim_start_matches('#')), "{link}");
        }
        for outside in ["src=", "@import", "url(", "<script"] {
            assert!(!html.contains(outside), "{outside}");
        }
        assert!(html.contains("<td class=\"n\">−36.0</td>"));
    }
}
