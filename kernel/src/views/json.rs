//! A writer of JSON objects in Ethereum's conventions: quantities and data as hexadecimal strings.

use alloy_primitives::{U256, hex};

/// Appends the fields of one object, in the order of the calls.
pub struct Object<'a> {
    out: &'a mut Vec<u8>,
    is_first: bool,
}

impl<'a> Object<'a> {
    /// Write an object whose fields `fields` adds.
    pub fn write(out: &'a mut Vec<u8>, fields: impl FnOnce(&mut Object<'_>)) {
        out.push(b'{');
        fields(&mut Object { out, is_first: true });
        out.push(b'}');
    }

    fn name(&mut self, name: &str) -> &mut Vec<u8> {
        if !self.is_first {
            self.out.push(b',');
        }
        self.is_first = false;
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    /// Bytes, two digits each.
    pub fn data(&mut self, name: &str, bytes: impl AsRef<[u8]>) {
        data(self.name(name), bytes.as_ref());
    }

    /// A number without leading zeros.
    /// Plain text of ours, which needs no escapes.
    pub fn text(&mut self, name: &str, text: &str) {
        let out = self.name(name);
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    }

    pub fn quantity(&mut self, name: &str, number: impl Into<U256Like>) {
        quantity(self.name(name), number);
    }

    /// A value that stands there only when it is known.
    pub fn quantity_if(&mut self, name: &str, number: Option<impl Into<U256Like>>) {
        if let Some(number) = number {
            self.quantity(name, number);
        }
    }

    pub fn data_if(&mut self, name: &str, bytes: Option<impl AsRef<[u8]>>) {
        if let Some(bytes) = bytes {
            self.data(name, bytes);
        }
    }

    pub fn data_or_null(&mut self, name: &str, bytes: Option<impl AsRef<[u8]>>) {
        match bytes {
            Some(bytes) => self.data(name, bytes),
            None => self.name(name).extend_from_slice(b"null"),
        }
    }

    pub fn null(&mut self, name: &str) {
        self.name(name).extend_from_slice(b"null");
    }

    /// A field that `value` writes.
    pub fn value(&mut self, name: &str, value: impl FnOnce(&mut Vec<u8>)) {
        value(self.name(name));
    }

    pub fn boolean(&mut self, name: &str, value: bool) {
        self.name(name).extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// An array, one item per element, written by `item`.
    pub fn array<T>(&mut self, name: &str, items: impl IntoIterator<Item = T>, item: impl FnMut(&mut Vec<u8>, T)) {
        array(self.name(name), items, item);
    }
}

pub fn array<T>(out: &mut Vec<u8>, items: impl IntoIterator<Item = T>, mut item: impl FnMut(&mut Vec<u8>, T)) {
    out.push(b'[');
    for (index, element) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        item(out, element);
    }
    out.push(b']');
}

pub fn data(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(b"\"0x");
    let start = out.len();
    out.resize(start + bytes.len() * 2, b'0');
    // The place is exactly twice as long as the bytes, so this cannot fail.
    let _ = hex::encode_to_slice(bytes, &mut out[start..]);
    out.push(b'"');
}

/// Any number that fits 256 bits.
pub struct U256Like(U256);

impl From<u8> for U256Like {
    fn from(number: u8) -> Self {
        Self(U256::from(number))
    }
}

impl From<u64> for U256Like {
    fn from(number: u64) -> Self {
        Self(U256::from(number))
    }
}

impl From<u128> for U256Like {
    fn from(number: u128) -> Self {
        Self(U256::from(number))
    }
}

impl From<usize> for U256Like {
    fn from(number: usize) -> Self {
        Self(U256::from(number))
    }
}

impl From<U256> for U256Like {
    fn from(number: U256) -> Self {
        Self(number)
    }
}

fn quantity(out: &mut Vec<u8>, number: impl Into<U256Like>) {
    let U256Like(number) = number.into();
    out.extend_from_slice(b"\"0x");
    let mut digits = [0_u8; 64];
    let bytes = number.to_be_bytes::<32>();
    // Twice as long as the bytes, so this cannot fail.
    let _ = hex::encode_to_slice(bytes, &mut digits);
    let zeros = digits.iter().take(63).take_while(|digit| **digit == b'0').count();
    out.extend_from_slice(&digits[zeros..]);
    out.push(b'"');
}
