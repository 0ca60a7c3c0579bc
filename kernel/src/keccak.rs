//! Keccak-256 of many inputs: eight at a time where the processor has AVX-512, else one after the other.

use alloy_primitives::{B256, keccak256};

/// Fewest inputs for which eight lanes are worth it.
#[cfg(target_arch = "x86_64")]
const LANES_USED_MIN: usize = 3;

/// The hash of each input, same order.
#[must_use]
pub fn keccak256_all(inputs: &[&[u8]]) -> Vec<B256> {
    #[cfg(target_arch = "x86_64")]
    if inputs.len() >= LANES_USED_MIN && std::arch::is_x86_feature_detected!("avx512f") {
        return lanes::hash_all(inputs);
    }
    inputs.iter().map(keccak256).collect()
}

#[cfg(target_arch = "x86_64")]
mod lanes {
    use std::arch::x86_64::{
        __m512i, _mm512_rolv_epi64, _mm512_set_epi64, _mm512_set1_epi64, _mm512_setzero_si512, _mm512_storeu_si512,
        _mm512_ternarylogic_epi64, _mm512_xor_si512,
    };

    use alloy_primitives::{B256, keccak256};

    use super::LANES_USED_MIN;

    const LANES: usize = 8;
    /// Bytes that Keccak-256 absorbs at a time.
    const RATE: usize = 136;
    const RATE_WORDS: usize = RATE / 8;

    /// FIPS 202, 3.2.5.
    const ROUND_CONSTANTS: [u64; 24] = [
        0x0000_0000_0000_0001,
        0x0000_0000_0000_8082,
        0x8000_0000_0000_808a,
        0x8000_0000_8000_8000,
        0x0000_0000_0000_808b,
        0x0000_0000_8000_0001,
        0x8000_0000_8000_8081,
        0x8000_0000_0000_8009,
        0x0000_0000_0000_008a,
        0x0000_0000_0000_0088,
        0x0000_0000_8000_8009,
        0x0000_0000_8000_000a,
        0x0000_0000_8000_808b,
        0x8000_0000_0000_008b,
        0x8000_0000_0000_8089,
        0x8000_0000_0000_8003,
        0x8000_0000_0000_8002,
        0x8000_0000_0000_0080,
        0x0000_0000_0000_800a,
        0x8000_0000_8000_000a,
        0x8000_0000_8000_8081,
        0x8000_0000_0000_8080,
        0x0000_0000_8000_0001,
        0x8000_0000_8000_8008,
    ];

    fn blocks(input: &[u8]) -> usize {
        input.len() / RATE + 1
    }

    pub fn hash_all(inputs: &[&[u8]]) -> Vec<B256> {
        let mut order: Vec<usize> = (0..inputs.len()).collect();
        order.sort_by_key(|&index| blocks(inputs[index]));
        let mut hashes = vec![B256::ZERO; inputs.len()];
        for group in order.chunks(LANES) {
            if group.len() < LANES_USED_MIN {
                for &index in group {
                    hashes[index] = keccak256(inputs[index]);
                }
                continue;
            }
            // Lanes that are left over do the first one's work again.
            let mut lanes = [inputs[group[0]]; LANES];
            for (lane, &index) in lanes.iter_mut().zip(group) {
                *lane = inputs[index];
            }
            // SAFETY: `keccak256_all` has found AVX-512.
            let found = unsafe { hash(&lanes) };
            for (&index, hash) in group.iter().zip(found) {
                hashes[index] = hash;
            }
        }
        hashes
    }

    /// Block `number` of an input, padded if it is the last; zeros after that.
    fn block(input: &[u8], number: usize) -> [u8; RATE] {
        let mut bytes = [0; RATE];
        let rest = input.get(number * RATE..).unwrap_or_default();
        if number >= blocks(input) {
            return bytes;
        }
        if let Some(full) = rest.first_chunk::<RATE>() {
            return *full;
        }
        bytes[..rest.len()].copy_from_slice(rest);
        bytes[rest.len()] ^= 0x01;
        bytes[RATE - 1] ^= 0x80;
        bytes
    }

    #[target_feature(enable = "avx512f")]
    fn hash(inputs: &[&[u8]; LANES]) -> [B256; LANES] {
        let mut state = [_mm512_setzero_si512(); 25];
        let mut hashes = [B256::ZERO; LANES];
        let most = inputs.iter().map(|input| blocks(input)).max().unwrap_or(0);
        for number in 0..most {
            let parts: [[u8; RATE]; LANES] = std::array::from_fn(|lane| block(inputs[lane], number));
            for word in 0..RATE_WORDS {
                let at = |lane: usize| {
                    let mut bytes = [0; 8];
                    bytes.copy_from_slice(&parts[lane][word * 8..word * 8 + 8]);
                    i64::from_le_bytes(bytes)
                };
                let words = _mm512_set_epi64(at(7), at(6), at(5), at(4), at(3), at(2), at(1), at(0));
                state[word] = _mm512_xor_si512(state[word], words);
            }
            permute(&mut state);
            for (lane, hash) in hashes.iter_mut().enumerate() {
                if blocks(inputs[lane]) == number + 1 {
                    *hash = squeeze(&state, lane);
                }
            }
        }
        hashes
    }

    #[target_feature(enable = "avx512f")]
    fn squeeze(state: &[__m512i; 25], lane: usize) -> B256 {
        let mut hash = B256::ZERO;
        for (word, bytes) in state.iter().zip(hash.0.as_chunks_mut::<8>().0) {
            let mut lanes = [0_u64; LANES];
            // SAFETY: the array has the 64 bytes that are written, and may lie anywhere.
            unsafe { _mm512_storeu_si512(lanes.as_mut_ptr().cast(), *word) };
            *bytes = lanes[lane].to_le_bytes();
        }
        hash
    }

    #[target_feature(enable = "avx512f")]
    fn rotate(word: __m512i, bits: i64) -> __m512i {
        _mm512_rolv_epi64(word, _mm512_set1_epi64(bits))
    }

    /// Keccak-f[1600] (FIPS 202, 3.3) on eight states.
    #[target_feature(enable = "avx512f")]
    fn permute(state: &mut [__m512i; 25]) {
        /// Truth tables of `x ^ y ^ z`, and of `x ^ (!y & z)`.
        const XOR: i32 = 0x96;
        const CHI: i32 = 0xd2;
        let mut words = *state;
        for constant in ROUND_CONSTANTS {
            let column = |x: usize| {
                let upper = _mm512_ternarylogic_epi64::<XOR>(words[x], words[x + 5], words[x + 10]);
                _mm512_ternarylogic_epi64::<XOR>(upper, words[x + 15], words[x + 20])
            };
            let columns = [column(0), column(1), column(2), column(3), column(4)];
            let mix = |x: usize| _mm512_xor_si512(columns[(x + 4) % 5], rotate(columns[(x + 1) % 5], 1));
            let mixes = [mix(0), mix(1), mix(2), mix(3), mix(4)];
            // Theta's last step, rho and pi: where each word goes, and by how much it turns.
            let turned = |from: usize, bits: i64| rotate(_mm512_xor_si512(words[from], mixes[from % 5]), bits);
            let moved = [
                _mm512_xor_si512(words[0], mixes[0]),
                turned(6, 44),
                turned(12, 43),
                turned(18, 21),
                turned(24, 14),
                turned(3, 28),
                turned(9, 20),
                turned(10, 3),
                turned(16, 45),
                turned(22, 61),
                turned(1, 1),
                turned(7, 6),
                turned(13, 25),
                turned(19, 8),
                turned(20, 18),
                turned(4, 27),
                turned(5, 36),
                turned(11, 10),
                turned(17, 15),
                turned(23, 56),
                turned(2, 62),
                turned(8, 55),
                turned(14, 39),
                turned(15, 41),
                turned(21, 2),
            ];
            for row in [0, 5, 10, 15, 20] {
                for x in 0..5 {
                    words[row + x] = _mm512_ternarylogic_epi64::<CHI>(
                        moved[row + x],
                        moved[row + (x + 1) % 5],
                        moved[row + (x + 2) % 5],
                    );
                }
            }
            words[0] = _mm512_xor_si512(words[0], _mm512_set1_epi64(constant.cast_signed()));
        }
        *state = words;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_hashes_at_once_are_those_of_one_at_a_time() {
        let bytes: Vec<u8> = (0..2_000_u32).map(|index| (index * 7 % 251).to_le_bytes()[0]).collect();
        for count in [0, 1, 2, 3, 7, 8, 9, 33, 700] {
            // Around every number of blocks, in no order.
            let inputs: Vec<&[u8]> =
                (0..count).map(|index| &bytes[index % 50..index % 50 + index * 131 % 690]).collect();
            assert_eq!(keccak256_all(&inputs), inputs.iter().map(keccak256).collect::<Vec<_>>(), "{count}");
        }
        for length in [0, 1, 134, 135, 136, 137, 271, 272, 273, 1_999] {
            let inputs = [&bytes[..length]; 8];
            assert_eq!(keccak256_all(&inputs), [keccak256(&bytes[..length]); 8], "{length}");
        }
    }
}
