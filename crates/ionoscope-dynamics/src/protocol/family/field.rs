//! A field of a stimulus in a family: a value, or a range from which each member draws its own.

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, IntoDeserializer, MapAccess, SeqAccess, Visitor, value},
};

use crate::{Error, Result};

/// A value, or a range of values.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Field {
    /// A whole number.
    Whole(u64),
    /// A number.
    Number(f64),
    /// A word.
    Text(String),
    /// Numbers, such as the times of a sampled current.
    List(Vec<f64>),
    /// A range: a number for each member.
    Range(Range),
}

/// From where in a range a member's number comes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Draw {
    /// Always this one.
    Value(f64),
    /// Uniform in [low, high).
    Uniform([f64; 2]),
    /// Its logarithm uniform in [ln low, ln high).
    LogUniform([f64; 2]),
    /// A whole number from low to high, both included.
    Whole([u64; 2]),
}

/// What the numbers of a range are multiples of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scale {
    /// The field's own unit.
    #[default]
    #[serde(rename = "1")]
    One,
    /// The end T of the run.
    #[serde(rename = "t_end")]
    TEnd,
}

/// A range of numbers: in files `{ uniform = [a, b] }`, `{ log-uniform = [a, b] }`, `{ whole = [a, b] }` or `{ value = a }`, and
/// `of = "t_end"` for numbers that are shares of the end T of the run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Range {
    /// From where.
    pub draw: Draw,
    /// In units of what.
    pub of: Scale,
}

/// A [`Range`] as it stands in files.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uniform: Option<[f64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_uniform: Option<[f64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    whole: Option<[u64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<Scale>,
}

impl TryFrom<Written> for Range {
    type Error = String;

    fn try_from(w: Written) -> std::result::Result<Self, String> {
        let draw = match (w.value, w.uniform, w.log_uniform, w.whole) {
            (Some(v), None, None, None) => Draw::Value(v),
            (None, Some(range), None, None) => Draw::Uniform(range),
            (None, None, Some(range), None) => Draw::LogUniform(range),
            (None, None, None, Some(range)) => Draw::Whole(range),
            _ => {
                return Err(
                    "a range needs exactly one of value, uniform, log-uniform and whole".into(),
                );
            }
        };
        Ok(Range {
            draw,
            of: w.of.unwrap_or_default(),
        })
    }
}

impl From<Range> for Written {
    fn from(range: Range) -> Self {
        let mut w = Written {
            of: (range.of == Scale::TEnd).then_some(range.of),
            ..Written::default()
        };
        match range.draw {
            Draw::Value(v) => w.value = Some(v),
            Draw::Uniform(r) => w.uniform = Some(r),
            Draw::LogUniform(r) => w.log_uniform = Some(r),
            Draw::Whole(r) => w.whole = Some(r),
        }
        w
    }
}

impl From<Range> for Field {
    fn from(range: Range) -> Self {
        Field::Range(range)
    }
}

impl Range {
    /// Uniform in [low, high).
    pub const fn uniform(low: f64, high: f64) -> Self {
        Range {
            draw: Draw::Uniform([low, high]),
            of: Scale::One,
        }
    }

    /// The same numbers as shares of the end T of the run.
    pub const fn of_t_end(self) -> Self {
        Range {
            of: Scale::TEnd,
            ..self
        }
    }

    /// The number at a share in [0, 1) of the range.
    pub(super) fn at(&self, share: f64, t_end: f64) -> Field {
        let unit = if self.of == Scale::TEnd { t_end } else { 1.0 };
        match self.draw {
            Draw::Value(v) => Field::Number(unit * v),
            Draw::Uniform([low, high]) => Field::Number(unit * (low + (high - low) * share)),
            Draw::LogUniform([low, high]) => Field::Number(
                unit * (low.ln() + (high / low).ln() * share)
                    .exp()
                    .clamp(low, high),
            ),
            Draw::Whole([low, high]) => {
                let count = (high - low) as f64 + 1.0;
                Field::Whole(low + ((count * share) as u64).min(high - low))
            }
        }
    }
}

impl Field {
    /// Checks that a range makes sense.
    pub(super) fn check(&self) -> Result<()> {
        let Field::Range(Range { draw, of }) = self else {
            return Ok(());
        };
        let (right, expected) = match *draw {
            Draw::Value(v) => (v.is_finite(), "a finite number"),
            Draw::Uniform([low, high]) => (
                (high - low).is_finite() && low <= high,
                "finite numbers, the smaller one first",
            ),
            Draw::LogUniform([low, high]) => (
                0.0 < low && low <= high && (high / low).is_finite(),
                "finite numbers larger than 0, the smaller one first",
            ),
            Draw::Whole([low, high]) => (
                low <= high && *of == Scale::One,
                "the smaller number first, and not as shares of t_end",
            ),
        };
        if right {
            Ok(())
        } else {
            Err(Error::Invalid(format!(
                "has the range {draw:?}; expected {expected}"
            )))
        }
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Reads;
        impl<'de> Visitor<'de> for Reads {
            type Value = Field;

            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str(
                    "a number, a word, a list of numbers or a range such as { uniform = [0, 1] }",
                )
            }

            fn visit_u64<E: de::Error>(self, v: u64) -> std::result::Result<Field, E> {
                Ok(Field::Whole(v))
            }

            fn visit_i64<E: de::Error>(self, v: i64) -> std::result::Result<Field, E> {
                Ok(u64::try_from(v).map_or(Field::Number(v as f64), Field::Whole))
            }

            fn visit_f64<E: de::Error>(self, v: f64) -> std::result::Result<Field, E> {
                Ok(Field::Number(v))
            }

            fn visit_str<E: de::Error>(self, v: &str) -> std::result::Result<Field, E> {
                Ok(Field::Text(v.into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> std::result::Result<Field, A::Error> {
                Vec::deserialize(de::value::SeqAccessDeserializer::new(list)).map(Field::List)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> std::result::Result<Field, A::Error> {
                Range::deserialize(de::value::MapAccessDeserializer::new(map)).map(Field::Range)
            }
        }
        deserializer.deserialize_any(Reads)
    }
}

/// A drawn field as the deserializer of a stimulus reads it: as what it is, which is all that a tagged enum asks for.
pub struct Drawn(Field);

impl<'de> IntoDeserializer<'de, value::Error> for Field {
    type Deserializer = Drawn;

    fn into_deserializer(self) -> Drawn {
        Drawn(self)
    }
}

impl<'de> Deserializer<'de> for Drawn {
    type Error = value::Error;

    fn deserialize_any<V: Visitor<'de>>(
        self,
        visitor: V,
    ) -> std::result::Result<V::Value, value::Error> {
        match self.0 {
            Field::Whole(v) => visitor.visit_u64(v),
            Field::Number(v) => visitor.visit_f64(v),
            Field::Text(v) => visitor.visit_string(v),
            Field::List(v) => visitor.visit_seq(value::SeqDeserializer::new(v.into_iter())),
            Field::Range(_) => Err(de::Error::custom("a range was not drawn from")),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}
