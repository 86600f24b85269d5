//! Which master of a cluster keeps a key: the arithmetic of slots, without a server.

use redis::Value;

/// How many slots a cluster divides its keys into.
const SLOTS: u16 = 16_384;

/// The last slot.
pub(super) const LAST_SLOT: u16 = SLOTS - 1;

/// Slots that one master keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) first: u16,
    pub(super) last: u16,
    /// The master's host and port.
    pub(super) master: (String, u16),
}

/// Returns the slot of a key: of its hash tag, if it has one.
pub(super) fn slot_of(key: &[u8]) -> u16 {
    crc16(hash_tag(key).unwrap_or(key)) % SLOTS
}

/// Returns what stands between the first brace and the next closing one, unless nothing does.
fn hash_tag(key: &[u8]) -> Option<&[u8]> {
    let open = key.iter().position(|&byte| byte == b'{')?;
    let length = key[open + 1..].iter().position(|&byte| byte == b'}')?;
    (length > 0).then(|| &key[open + 1..=open + length])
}

/// CRC-16/XMODEM, which the protocol prescribes.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |mut crc, &byte| {
        crc ^= u16::from(byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
        }
        crc
    })
}

/// Reads the answer to `CLUSTER SLOTS`; a master without a host is the one that was asked. `None` if it is something else.
pub(super) fn read_shares(answer: &Value, asked: &str) -> Option<Vec<Share>> {
    let Value::Array(rows) = answer else { return None };
    rows.iter()
        .map(|row| {
            let Value::Array(row) = row else { return None };
            let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = row.as_slice() else { return None };
            let [host, Value::Int(port), ..] = master.as_slice() else { return None };
            let host = match host {
                Value::Nil => asked.to_owned(),
                Value::BulkString(host) if host.is_empty() => asked.to_owned(),
                Value::BulkString(host) => String::from_utf8(host.clone()).ok()?,
                Value::SimpleString(host) => host.clone(),
                _ => return None,
            };
            let (first, last) = (u16::try_from(*first).ok()?, u16::try_from(*last).ok()?);
            Some(Share { first, last, master: (host, u16::try_from(*port).ok()?) })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        for (key, same) in [
            ("deskhand:{q:mail}:jobs", "q:mail"),
            ("{user1000}.following", "user1000"),
            ("foo{}{bar}", "foo{}{bar}"),
            ("foo{{bar}}zap", "{bar"),
            ("foo{bar}{zap}", "bar"),
            ("foo{bar", "foo{bar"),
        ] {
            assert_eq!(slot_of(key.as_bytes()), crc16(same.as_bytes()) % SLOTS, "{key}");
        }
    }

    #[test]
    fn a_master_without_a_host_is_the_one_that_was_asked() {
        let row = |host: Value| {
            let master = Value::Array(vec![host, Value::Int(7_001), Value::BulkString(b"id".to_vec())]);
            Value::Array(vec![Value::Array(vec![Value::Int(0), Value::Int(100), master])])
        };
        for (host, expected) in [
            (Value::Nil, "10.0.0.9"),
            (Value::BulkString(Vec::new()), "10.0.0.9"),
            (Value::BulkString(b"node-1".to_vec()), "node-1"),
        ] {
            let shares = read_shares(&row(host), "10.0.0.9").expect("readable");
            assert_eq!(shares, [Share { first: 0, last: 100, master: (expected.to_owned(), 7_001) }]);
        }
        assert_eq!(read_shares(&Value::Okay, "h"), None);
    }
}
