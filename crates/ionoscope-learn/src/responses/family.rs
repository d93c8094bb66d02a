//! The families of protocols that datasets are drawn from, as configurations name them, and their members.

use ionoscope_dynamics::protocol::{Member, ProtocolFamily};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::Result;

/// A family of protocols: one that comes along, by its name, or one of the user's.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum FamilySource {
    /// Its name.
    Named(String),
    /// The family itself.
    Own(Box<ProtocolFamily>),
}

impl FamilySource {
    /// The family.
    ///
    /// # Errors
    /// An unknown name, with the nearest; a family that makes no sense.
    pub fn family(&self) -> Result<ProtocolFamily> {
        let family = match self {
            FamilySource::Named(name) => ProtocolFamily::find(name)?,
            FamilySource::Own(family) => *family.clone(),
        };
        family.check()?;
        Ok(family)
    }
}

impl<'de> Deserialize<'de> for FamilySource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Reads;
        impl<'de> Visitor<'de> for Reads {
            type Value = FamilySource;

            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("the name of a family of protocols, or a table of its own with name, t_end and [[class]]")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> std::result::Result<FamilySource, E> {
                Ok(FamilySource::Named(name.into()))
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                map: A,
            ) -> std::result::Result<FamilySource, A::Error> {
                let family = ProtocolFamily::deserialize(MapAccessDeserializer::new(map))?;
                Ok(FamilySource::Own(Box::new(family)))
            }
        }
        // Read as an untagged enum, an error inside the table would lose its place.
        deserializer.deserialize_any(Reads)
    }
}

/// Sample `k` of `count`: a family of a set size is drawn as often as needed, each time with another seed, the last time in part; evenly over its
/// members, whose classes follow one another.
pub(crate) fn member(
    family: &ProtocolFamily,
    seed: u64,
    draw: u64,
    k: u64,
    count: u64,
) -> ionoscope_dynamics::Result<Member> {
    let (round, k) = (k / draw, k % draw);
    let here = draw.min(count - round * draw);
    let index = (u128::from(k) * u128::from(draw) / u128::from(here)) as u64;
    family.member(
        seed.wrapping_add(round.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        index,
    )
}
