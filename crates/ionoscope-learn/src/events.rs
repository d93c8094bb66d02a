//! TensorBoard event files, written without TensorBoard.
//!
//! The file is a list of records: length (8 bytes, little endian), masked CRC-32C of the length, payload, masked CRC-32C of the payload. A
//! payload is a protocol buffer `Event { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5 }` with
//! `Summary { repeated Value value = 1 }` and `Value { string tag = 1; float simple_value = 2 }`.

use std::{
    io::{self, Write},
    time::{SystemTime, UNIX_EPOCH},
};

/// The first event of a file, which says what it is.
pub fn header() -> Vec<u8> {
    let mut event = Vec::new();
    double(&mut event, 1, wall_time());
    bytes(&mut event, 3, b"brain.Event:2");
    record(&event)
}

/// One event with named numbers at a step.
pub fn scalars<'a>(step: u64, values: impl IntoIterator<Item = (&'a str, f64)>) -> Vec<u8> {
    let mut summary = Vec::new();
    for (tag, value) in values {
        let mut v = Vec::new();
        bytes(&mut v, 1, tag.as_bytes());
        v.push(2 << 3 | 5);
        v.extend_from_slice(&(value as f32).to_le_bytes());
        bytes(&mut summary, 1, &v);
    }
    let mut event = Vec::new();
    double(&mut event, 1, wall_time());
    event.push(2 << 3);
    varint(&mut event, step);
    bytes(&mut event, 5, &summary);
    record(&event)
}

/// Writes whole records at once, so that a killed process leaves at most one torn record at the end.
///
/// # Errors
/// As the writer.
pub fn append(to: &mut impl Write, record: &[u8]) -> io::Result<()> {
    to.write_all(record)
}

fn wall_time() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |t| t.as_secs_f64())
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn double(out: &mut Vec<u8>, field: u8, value: f64) {
    out.push(field << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

fn bytes(out: &mut Vec<u8>, field: u8, value: &[u8]) {
    out.push(field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn record(payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u64).to_le_bytes();
    let parts: [&[u8]; 4] = [
        &length,
        &masked(&length).to_le_bytes(),
        payload,
        &masked(payload).to_le_bytes(),
    ];
    parts.concat()
}

/// The checksum as these files keep it: rotated and offset, so that a checksum of data with checksums in it is no trivial number.
fn masked(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32 with the Castagnoli polynomial, bit by bit: events are small and rare.
fn crc32c(data: &[u8]) -> u32 {
    !data.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| {
            (c >> 1) ^ if c & 1 == 1 { 0x82f6_3b78 } else { 0 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_known_data() {
        // RFC 3720, appendix B.4.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    }

    /// A decoder that shares nothing with the encoder: fields of one message as (number, wire type, content).
    fn fields(mut data: &[u8]) -> Vec<(u64, u8, Vec<u8>)> {
        fn number(data: &mut &[u8]) -> u64 {
            let mut value = 0;
            for shift in (0..).step_by(7) {
                let (first, rest) = data.split_first().unwrap();
                *data = rest;
                value += u64::from(first % 128) << shift;
                if *first < 128 {
                    break;
                }
            }
            value
        }
        let mut out = Vec::new();
        while !data.is_empty() {
            let key = number(&mut data);
            let content = match key % 8 {
                0 => number(&mut data).to_be_bytes().to_vec(),
                wire => {
                    let n = match wire {
                        1 => 8,
                        5 => 4,
                        _ => number(&mut data) as usize,
                    };
                    let (now, rest) = data.split_at(n);
                    data = rest;
                    now.to_vec()
                }
            };
            out.push((key / 8, (key % 8) as u8, content));
        }
        out
    }

    #[test]
    fn an_independent_decoder_reads_the_events_back() {
        let mut file = Vec::new();
        append(&mut file, &header()).unwrap();
        append(
            &mut file,
            &scalars(300, [("training/v", 0.25), ("a/b", -3e-9)]),
        )
        .unwrap();
        let mut payloads = Vec::new();
        let mut rest = &file[..];
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            payloads.push(fields(&rest[12..12 + length]));
            rest = &rest[16 + length..];
        }
        assert_eq!(payloads.len(), 2);
        assert_eq!(payloads[0][1], (3, 2, b"brain.Event:2".to_vec()));
        assert_eq!(payloads[1][1], (2, 0, 300u64.to_be_bytes().to_vec()));
        let values: Vec<_> = fields(&payloads[1][2].2)
            .into_iter()
            .map(|v| fields(&v.2))
            .collect();
        assert_eq!(
            values[0],
            [
                (1, 2, b"training/v".to_vec()),
                (2, 5, 0.25f32.to_le_bytes().to_vec())
            ]
        );
        assert_eq!(values[1][1].2, (-3e-9f32).to_le_bytes());
    }
}
