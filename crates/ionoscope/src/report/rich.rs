//! Text with a little structure: `_{low}`, `^{high}`, `` `code` `` and `**strong**`, for pages and for figures.

/// How a run of text is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    Plain,
    Low,
    High,
    Code,
    Strong,
}

const MARKS: [(&str, &str, Set); 4] = [
    ("_{", "}", Set::Low),
    ("^{", "}", Set::High),
    ("`", "`", Set::Code),
    ("**", "**", Set::Strong),
];

/// Splits text at its marks; a mark that is not closed stands for itself.
fn runs(text: &str) -> Vec<(Set, &str)> {
    let mut out = Vec::new();
    let mut plain = 0;
    let mut at = 0;
    'outer: while at < text.len() {
        for (open, close, set) in MARKS {
            if let Some(rest) = text[at..].strip_prefix(open)
                && let Some(length) = rest.find(close)
            {
                if plain < at {
                    out.push((Set::Plain, &text[plain..at]));
                }
                out.push((set, &rest[..length]));
                at += open.len() + length + close.len();
                plain = at;
                continue 'outer;
            }
        }
        at += text[at..].chars().next().map_or(1, char::len_utf8);
    }
    if plain < text.len() {
        out.push((Set::Plain, &text[plain..]));
    }
    out
}

/// Escapes the characters that mean something in HTML and XML.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // Control characters are not allowed in XML at all.
            c if c.is_control() && c != '\n' && c != '\t' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// As HTML.
pub fn html(text: &str) -> String {
    runs(text)
        .into_iter()
        .map(|(set, run)| {
            let run = escape(run);
            match set {
                Set::Plain => run,
                Set::Low => format!("<sub>{run}</sub>"),
                Set::High => format!("<sup>{run}</sup>"),
                Set::Code => format!("<code>{run}</code>"),
                Set::Strong => format!("<strong>{run}</strong>"),
            }
        })
        .collect()
}

/// As the inside of an SVG text element.
pub fn svg(text: &str) -> String {
    let mut back = "";
    let mut out = String::new();
    for (set, run) in runs(text) {
        // A shift holds until it is taken back, so the run after a low or high one says so.
        let (style, next) = match set {
            Set::Low => (r#" dy=".28em" font-size="75%""#, "-.21em"),
            Set::High => (r#" dy="-.4em" font-size="75%""#, ".3em"),
            Set::Strong => (r#" font-weight="bold""#, ""),
            Set::Plain | Set::Code => ("", ""),
        };
        let run = escape(run);
        match (style, back) {
            ("", "") => out.push_str(&run),
            ("", back) => out.push_str(&format!(r#"<tspan dy="{back}">{run}</tspan>"#)),
            (style, _) => out.push_str(&format!("<tspan{style}>{run}</tspan>")),
        }
        back = next;
    }
    out
}

/// Without any marks; indices and powers keep a sign of their own, as in `V_S` and `10^-3`.
pub fn plain(text: &str) -> String {
    let sign = |set: &Set| match set {
        Set::Low => "_",
        Set::High => "^",
        _ => "",
    };
    runs(text)
        .into_iter()
        .flat_map(|(set, run)| [sign(&set), run])
        .collect()
}

/// Estimated width in units of the font size, for sans-serif letters.
pub fn width(text: &str) -> f64 {
    runs(text)
        .into_iter()
        .map(|(set, run)| {
            let size = if matches!(set, Set::Low | Set::High) {
                0.75
            } else {
                1.0
            };
            let letter = |c: char| match c {
                'i' | 'j' | 'l' | '.' | ',' | '\'' | '|' | ':' | ';' | ' ' | 't' | 'f' | '('
                | ')' => 0.33,
                'm' | 'w' | 'M' | 'W' => 0.85,
                c if c.is_uppercase() => 0.68,
                _ => 0.56,
            };
            size * run.chars().map(letter).sum::<f64>()
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_become_elements_and_the_rest_is_escaped() {
        assert_eq!(
            html("V_{S} < `a&b` **x** 10^{-3}"),
            "V<sub>S</sub> &lt; <code>a&amp;b</code> <strong>x</strong> 10<sup>-3</sup>"
        );
        assert_eq!(html("open _{ and ` stay"), "open _{ and ` stay");
        assert_eq!(plain("V_{S} `x` 10^{-3}"), "V_S x 10^-3");
        assert!(svg("a^{2} & b").contains("&amp;"));
        assert!(width("10^{2}") < width("102"));
    }
}
