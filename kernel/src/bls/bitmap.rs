//! Bitmaps of signers: little-endian bits, dense.

use crate::error::{InputError, InputResult};

/// Largest set of validators.
pub const VALIDATORS_MAX: usize = 65_536;

fn check_size(validators: usize) -> InputResult<()> {
    if (1..=VALIDATORS_MAX).contains(&validators) {
        Ok(())
    } else {
        Err(InputError::new("validators", format!("1 to {VALIDATORS_MAX}"), validators))
    }
}

/// `ceil(validators / 8)` bytes with the bits of `signers` (each at most once, any order).
///
/// # Errors
/// For a signer out of range or named twice, or a set size out of range.
pub fn bitmap_of(signers: &[usize], validators: usize) -> InputResult<Vec<u8>> {
    check_size(validators)?;
    let mut bitmap = vec![0; validators.div_ceil(8)];
    for &signer in signers {
        let byte = bitmap
            .get_mut(signer / 8)
            .filter(|_| signer < validators)
            .ok_or_else(|| InputError::new("signers", format!("below {validators}"), signer))?;
        if *byte & (1 << (signer % 8)) != 0 {
            return Err(InputError::new("signers", "each once", format!("{signer} again")));
        }
        *byte |= 1 << (signer % 8);
    }
    Ok(bitmap)
}

/// Signers of a bitmap, ascending.
///
/// # Errors
/// For a bitmap of another length, or with a bit beyond the set.
pub fn signers_of(bitmap: &[u8], validators: usize) -> InputResult<Vec<usize>> {
    check_size(validators)?;
    let expected = validators.div_ceil(8);
    if bitmap.len() != expected {
        return Err(InputError::new("bitmap", format!("{expected} bytes"), format!("{} bytes", bitmap.len())));
    }
    let signers: Vec<usize> =
        (0..bitmap.len() * 8).filter(|signer| bitmap[signer / 8] & (1 << (signer % 8)) != 0).collect();
    match signers.last() {
        Some(&last) if last >= validators => {
            Err(InputError::new("bitmap", format!("bits below {validators}"), format!("bit {last}")))
        }
        _ => Ok(signers),
    }
}
