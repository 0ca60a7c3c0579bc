//! Forks by name and by the rules they bring.

use revm::primitives::hardfork::SpecId;

/// One rule set of Ethereum. Names are those of the public tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fork {
    Frontier,
    Homestead,
    TangerineWhistle,
    SpuriousDragon,
    Byzantium,
    /// With EIP-1283's storage gas, which Petersburg took back.
    Constantinople,
    Petersburg,
    Istanbul,
    Berlin,
    London,
    Paris,
    Shanghai,
    Cancun,
    Prague,
    Osaka,
    /// Not released: what revm has of it. See `docs/internals/forks.md`.
    Amsterdam,
}

/// Every released fork in order of activation.
pub const FORKS: [Fork; 15] = [
    Fork::Frontier,
    Fork::Homestead,
    Fork::TangerineWhistle,
    Fork::SpuriousDragon,
    Fork::Byzantium,
    Fork::Constantinople,
    Fork::Petersburg,
    Fork::Istanbul,
    Fork::Berlin,
    Fork::London,
    Fork::Paris,
    Fork::Shanghai,
    Fork::Cancun,
    Fork::Prague,
    Fork::Osaka,
];

impl Fork {
    /// Most accounts and slots that `gas` can read: gas by the cheapest read. That is BALANCE until EIP-150, SLOAD until
    /// EIP-1884, BALANCE again until EIP-2929, and since EIP-2930 a slot in an access list.
    #[must_use]
    pub fn reads_max(self, gas: u64) -> usize {
        let cheapest = match self {
            Self::Frontier | Self::Homestead => 20,
            _ if self < Self::Istanbul => 200,
            Self::Istanbul => 700,
            _ => 1_900,
        };
        usize::try_from(gas / cheapest).unwrap_or(usize::MAX)
    }

    /// Name as in the public tests.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Frontier => "Frontier",
            Self::Homestead => "Homestead",
            Self::TangerineWhistle => "EIP150",
            Self::SpuriousDragon => "EIP158",
            Self::Byzantium => "Byzantium",
            Self::Constantinople => "Constantinople",
            Self::Petersburg => "ConstantinopleFix",
            Self::Istanbul => "Istanbul",
            Self::Berlin => "Berlin",
            Self::London => "London",
            Self::Paris => "Paris",
            Self::Shanghai => "Shanghai",
            Self::Cancun => "Cancun",
            Self::Prague => "Prague",
            Self::Osaka => "Osaka",
            Self::Amsterdam => "Amsterdam",
        }
    }

    /// The fork of that name, with the other spellings that tests use.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "TangerineWhistle" => Some(Self::TangerineWhistle),
            "SpuriousDragon" => Some(Self::SpuriousDragon),
            "Petersburg" => Some(Self::Petersburg),
            "Merge" => Some(Self::Paris),
            "Amsterdam" => Some(Self::Amsterdam),
            _ => FORKS.into_iter().find(|fork| fork.name() == name),
        }
    }

    /// revm's name of the rules. It has none for Constantinople: those of Petersburg with another SSTORE.
    #[must_use]
    pub const fn spec_id(self) -> SpecId {
        match self {
            Self::Frontier => SpecId::FRONTIER,
            Self::Homestead => SpecId::HOMESTEAD,
            Self::TangerineWhistle => SpecId::TANGERINE,
            Self::SpuriousDragon => SpecId::SPURIOUS_DRAGON,
            Self::Byzantium => SpecId::BYZANTIUM,
            Self::Constantinople | Self::Petersburg => SpecId::PETERSBURG,
            Self::Istanbul => SpecId::ISTANBUL,
            Self::Berlin => SpecId::BERLIN,
            Self::London => SpecId::LONDON,
            Self::Paris => SpecId::MERGE,
            Self::Shanghai => SpecId::SHANGHAI,
            Self::Cancun => SpecId::CANCUN,
            Self::Prague => SpecId::PRAGUE,
            Self::Osaka => SpecId::OSAKA,
            Self::Amsterdam => SpecId::AMSTERDAM,
        }
    }
}
