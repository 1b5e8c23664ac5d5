//! The primitives every format is made of: varints, fixed integers, length-prefixed bytes.
//!
//! Encoders append to a `Vec<u8>`; decoders pull from a [`Reader`] over [`Bytes`], so that what
//! they return shares the memory of the input instead of copying it. A reader never panics,
//! whatever the input, and never reserves more memory than the input could fill. Encodings are
//! canonical: one value, one sequence of bytes.

use bytes::Bytes;

use crate::{Error, Result};

/// Most bytes a varint of 64 bits takes.
pub const VARINT_BYTES_MAX: usize = 10;

/// Most items a decoder reserves room for before it has seen the first: a count is only a claim.
const RESERVE_ITEMS_MAX: usize = 1024;

/// Appends one byte.
pub fn put_u8(out: &mut Vec<u8>, value: u8) {
    out.push(value);
}

/// Appends four bytes, little end first.
pub fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends eight bytes, little end first.
pub fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends 1 to 10 bytes, seven bits each, least significant first (LEB128).
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}

/// Bytes that [`put_varint`] appends for this value.
pub fn varint_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Appends a length as varint, then the bytes.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a flag byte, then the bytes if there are any to append.
pub fn put_option_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => put_u8(out, 0),
        Some(bytes) => {
            put_u8(out, 1);
            put_bytes(out, bytes);
        }
    }
}

/// Appends 1 for true and 0 for false.
pub fn put_flag(out: &mut Vec<u8>, flag: bool) {
    put_u8(out, u8::from(flag));
}

/// The varint at the front of `bytes`, in its shortest form, and what follows it.
///
/// # Errors
/// [`Error::Truncated`], or [`Error::Corrupt`] when it is longer than needed or than 64 bits.
pub fn split_varint(bytes: &[u8]) -> Result<(u64, &[u8])> {
    let mut value = 0_u64;
    let mut rest = bytes;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first().ok_or(Error::Truncated)?;
        rest = after;
        let bits = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit.
        if shift == 63 && bits > 1 {
            return Err(Error::Corrupt("varint exceeds 64 bits"));
        }
        value |= bits << shift;
        if byte < 0x80 {
            if byte == 0 && shift > 0 {
                return Err(Error::Corrupt("varint is not in its shortest form"));
            }
            return Ok((value, rest));
        }
    }
    Err(Error::Corrupt("varint exceeds 64 bits"))
}

/// The length-prefixed bytes at the front of `bytes`, and what follows them.
///
/// # Errors
/// As [`split_varint`]; [`Error::Truncated`] when there are fewer than the length says.
pub fn split_bytes(bytes: &[u8]) -> Result<(&[u8], &[u8])> {
    let (len, rest) = split_varint(bytes)?;
    // A length that does not fit the machine does not fit the input either.
    let len = usize::try_from(len).map_err(|_| Error::Truncated)?;
    rest.split_at_checked(len).ok_or(Error::Truncated)
}

/// Reads values from shared bytes, front to back.
#[derive(Clone, Debug)]
pub struct Reader {
    source: Bytes,
    /// Bytes consumed, never beyond the length of `source`.
    at: usize,
}

impl Reader {
    /// A reader over all of these bytes.
    pub fn new(source: Bytes) -> Self {
        Self { source, at: 0 }
    }

    /// Bytes not yet read.
    pub fn remaining(&self) -> usize {
        self.source.len() - self.at
    }

    /// True when everything was read.
    pub fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// One byte.
    ///
    /// # Errors
    /// [`Error::Truncated`] when there is none.
    pub fn u8(&mut self) -> Result<u8> {
        let byte = *self.source.get(self.at).ok_or(Error::Truncated)?;
        self.at += 1;
        Ok(byte)
    }

    /// Four bytes, little end first.
    ///
    /// # Errors
    /// [`Error::Truncated`] when there are fewer.
    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(*self.array()?))
    }

    /// Eight bytes, little end first.
    ///
    /// # Errors
    /// [`Error::Truncated`] when there are fewer.
    pub fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(*self.array()?))
    }

    /// A varint in its shortest form.
    ///
    /// # Errors
    /// As [`split_varint`].
    pub fn varint(&mut self) -> Result<u64> {
        let rest = self.source.get(self.at..).ok_or(Error::Truncated)?;
        let (value, after) = split_varint(rest)?;
        self.at = self.source.len() - after.len();
        Ok(value)
    }

    /// A flag byte: 0 or 1.
    ///
    /// # Errors
    /// [`Error::Truncated`], or [`Error::Corrupt`] for any other byte.
    pub fn flag(&mut self) -> Result<bool> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Error::Corrupt("flag is neither 0 nor 1")),
        }
    }

    /// The next `len` bytes, shared with the input.
    ///
    /// # Errors
    /// [`Error::Truncated`] when there are fewer.
    pub fn take(&mut self, len: usize) -> Result<Bytes> {
        if len > self.remaining() {
            return Err(Error::Truncated);
        }
        let taken = self.source.slice(self.at..self.at + len);
        self.at += len;
        Ok(taken)
    }

    /// Length-prefixed bytes, shared with the input.
    ///
    /// # Errors
    /// As [`Reader::varint`] and [`Reader::take`].
    pub fn bytes(&mut self) -> Result<Bytes> {
        let len = self.varint()?;
        // A length that does not fit the machine does not fit the input either.
        self.take(usize::try_from(len).map_err(|_| Error::Truncated)?)
    }

    /// A flag, then length-prefixed bytes when it is set.
    ///
    /// # Errors
    /// As [`Reader::flag`] and [`Reader::bytes`].
    pub fn option_bytes(&mut self) -> Result<Option<Bytes>> {
        Ok(if self.flag()? { Some(self.bytes()?) } else { None })
    }

    /// A count of items that take at least `item_bytes_min` bytes each.
    ///
    /// # Errors
    /// As [`Reader::varint`]; [`Error::Truncated`] when so many items cannot be in the input.
    ///
    /// # Panics
    /// When `item_bytes_min` is 0: the input would bound nothing.
    pub fn count(&mut self, item_bytes_min: usize) -> Result<usize> {
        assert!(item_bytes_min > 0, "items of no bytes cannot be counted against the input");
        let count = usize::try_from(self.varint()?).map_err(|_| Error::Truncated)?;
        if count > self.remaining() / item_bytes_min {
            return Err(Error::Truncated);
        }
        Ok(count)
    }

    /// `count` items, each decoded by `item`.
    ///
    /// # Errors
    /// The first error of `item`.
    pub fn items<T>(
        &mut self,
        count: usize,
        mut item: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut items = Vec::with_capacity(count.min(RESERVE_ITEMS_MAX));
        for _ in 0..count {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// Everything not yet read, shared with the input.
    #[must_use]
    pub fn into_rest(self) -> Bytes {
        self.source.slice(self.at..)
    }

    /// Asserts that the input ends here.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when bytes are left over.
    pub fn finish(self) -> Result<()> {
        if self.is_empty() { Ok(()) } else { Err(Error::Corrupt("bytes after the end")) }
    }

    /// Checks the version byte every format at rest starts with.
    ///
    /// # Errors
    /// [`Error::Truncated`], or [`Error::Version`] when it is another one.
    pub fn version(&mut self, known: u8) -> Result<()> {
        let found = self.u8()?;
        if found == known { Ok(()) } else { Err(Error::Version(u32::from(found))) }
    }

    fn array<const N: usize>(&mut self) -> Result<&[u8; N]> {
        let rest = self.source.get(self.at..).ok_or(Error::Truncated)?;
        let array = rest.first_chunk::<N>().ok_or(Error::Truncated)?;
        self.at += N;
        Ok(array)
    }
}

/// Decodes one value that fills its input.
///
/// # Errors
/// What `decode` answers, or [`Error::Corrupt`] when bytes are left over.
pub fn whole<T>(source: Bytes, decode: impl FnOnce(&mut Reader) -> Result<T>) -> Result<T> {
    let mut reader = Reader::new(source);
    let value = decode(&mut reader)?;
    reader.finish()?;
    Ok(value)
}
