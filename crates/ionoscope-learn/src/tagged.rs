//! Tables of a configuration whose key `kind` says which other keys there are. They are read with every key optional and sorted out here, since
//! what serde reads with a tag is copied first, and an error then no longer tells which key it is of.

/// The values of the keys that a table of some kind has; all of them, and no others.
pub(crate) fn exactly<T: Copy, const N: usize>(
    kind: &str,
    keys: [&str; N],
    given: &[(&str, Option<T>)],
) -> std::result::Result<[T; N], String> {
    let wanted = match keys.len() {
        0 => "no other key".to_owned(),
        _ => keys.join(" and "),
    };
    if let Some((other, _)) = given.iter().find(|(k, v)| v.is_some() && !keys.contains(k)) {
        return Err(format!(
            "kind = \"{kind}\" has no key `{other}`; expected {wanted}"
        ));
    }
    let mut values = Vec::with_capacity(N);
    for key in keys {
        let value = given.iter().find(|(k, _)| *k == key).and_then(|(_, v)| *v);
        values.push(value.ok_or_else(|| {
            format!("kind = \"{kind}\" without the key `{key}`; expected {wanted}")
        })?);
    }
    // One value was pushed for each key.
    values.try_into().map_err(|_| String::new())
}
