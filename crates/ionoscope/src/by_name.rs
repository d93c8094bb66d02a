//! Options that name values, as `{"v": [-75, 25]}`: those of the command line are repeated as
//! `v=-75:25`.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};

struct Pairs<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Pairs<T> {
    type Value = Vec<(String, T)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of names and values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some(pair) = map.next_entry()? {
            all.push(pair);
        }
        Ok(all)
    }
}

/// The one pair of an object, where there is one.
pub fn one<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    d: D,
) -> Result<Option<(String, T)>, D::Error> {
    let mut pairs = d.deserialize_map(Pairs(PhantomData))?;
    match pairs.len() {
        0 | 1 => Ok(pairs.pop()),
        n => Err(serde::de::Error::custom(format!("{n} names; expected one"))),
    }
}

/// The pairs of an object, in its order.
pub fn deserialize<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    d: D,
) -> Result<Vec<(String, T)>, D::Error> {
    d.deserialize_map(Pairs(PhantomData))
}
