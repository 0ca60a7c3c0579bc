//! Which tracer, with which options: geth's `TraceConfig` as JSON, and the trace types of `trace_` methods.

use serde_json::{Map, Value};

use crate::error::{InputError, InputResult};
use crate::spec::json;

/// Tracers inside one `muxTracer`.
const MUXED_MAX: usize = 16;

/// Options of struct logs, geth's defaults.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // they are geth's options
pub struct StructOptions {
    pub memory: bool,
    pub no_stack: bool,
    pub no_storage: bool,
    pub return_data: bool,
    /// Most steps; 0 is all.
    pub limit: u64,
}

/// Options of `callTracer`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallOptions {
    pub only_top_call: bool,
    pub with_log: bool,
}

/// Options of `flatCallTracer`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FlatOptions {
    pub convert_parity_errors: bool,
    pub include_precompiles: bool,
}

/// Options of `prestateTracer`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // they are geth's options
pub struct PrestateOptions {
    pub diff_mode: bool,
    pub disable_code: bool,
    pub disable_storage: bool,
    pub include_empty: bool,
}

/// Trace types of `trace_call`, `trace_replayTransaction` and their like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // the three names of the method's parameter, and one for its bare form
pub struct ParityOptions {
    pub trace: bool,
    pub state_diff: bool,
    pub vm_trace: bool,
    /// Only the array of traces, with block and transaction in each (`trace_block`).
    pub localized: bool,
}

/// What is traced, and how it is rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tracer {
    StructLogs(StructOptions),
    Calls(CallOptions),
    Flat(FlatOptions),
    Prestate(PrestateOptions),
    Selectors,
    Noop,
    Mux(Vec<(String, Tracer)>),
    Parity(ParityOptions),
    /// `eth_createAccessList`.
    AccessList,
}

impl Tracer {
    /// Read geth's `TraceConfig` (`{"tracer": ..., "tracerConfig": {...}, "enableMemory": ...}`), or one of ours:
    /// `{"parity": ["trace", "stateDiff", "vmTrace"]}`, `{"parity": "localized"}`. Empty bytes are struct logs.
    ///
    /// # Errors
    /// Names the member that is malformed; `tracer` for one that does not exist.
    pub fn parse(bytes: &[u8]) -> InputResult<Self> {
        if bytes.is_empty() {
            return Ok(Self::StructLogs(StructOptions::default()));
        }
        let value: Value = json::parse("config", bytes)?;
        Self::read(&value)
    }

    /// As [`Self::parse`].
    ///
    /// # Errors
    /// As there.
    pub fn read(value: &Value) -> InputResult<Self> {
        if value.is_null() {
            return Ok(Self::StructLogs(StructOptions::default()));
        }
        let root = json::object("config", value)?;
        if let Some(types) = json::member(root, "parity") {
            return parity(types);
        }
        match json::member(root, "tracer") {
            None => Ok(Self::StructLogs(StructOptions {
                memory: flag(root, "enableMemory")?,
                no_stack: flag(root, "disableStack")?,
                no_storage: flag(root, "disableStorage")?,
                return_data: flag(root, "enableReturnData")?,
                limit: json::member(root, "limit").map_or(Ok(0), |limit| json::u64("limit", limit))?,
            })),
            Some(name) => {
                let name = name.as_str().ok_or_else(|| InputError::new("tracer", "a name", name))?;
                Self::named(name, json::member(root, "tracerConfig"), true)
            }
        }
    }

    fn named(name: &str, config: Option<&Value>, can_mux: bool) -> InputResult<Self> {
        let none = Map::new();
        let options = config.map_or(Ok(&none), |config| json::object("tracerConfig", config))?;
        Ok(match name {
            "" => Self::StructLogs(StructOptions::default()),
            "callTracer" => Self::Calls(CallOptions {
                only_top_call: flag(options, "onlyTopCall")?,
                with_log: flag(options, "withLog")?,
            }),
            "flatCallTracer" => Self::Flat(FlatOptions {
                convert_parity_errors: flag(options, "convertParityErrors")?,
                include_precompiles: flag(options, "includePrecompiles")?,
            }),
            "prestateTracer" => {
                let options = PrestateOptions {
                    diff_mode: flag(options, "diffMode")?,
                    disable_code: flag(options, "disableCode")?,
                    disable_storage: flag(options, "disableStorage")?,
                    include_empty: flag(options, "includeEmpty")?,
                };
                if options.diff_mode && options.include_empty {
                    return Err(InputError::new("tracerConfig", "one of diffMode and includeEmpty", "both"));
                }
                Self::Prestate(options)
            }
            "4byteTracer" => Self::Selectors,
            "noopTracer" => Self::Noop,
            "accessList" if can_mux => Self::AccessList,
            "muxTracer" if can_mux => {
                if options.len() > MUXED_MAX {
                    return Err(InputError::new("tracerConfig", format!("at most {MUXED_MAX} tracers"), options.len()));
                }
                let part = |(name, config): (&String, &Value)| {
                    let config = (!config.is_null()).then_some(config);
                    Ok((name.clone(), Self::named(name, config, false)?))
                };
                Self::Mux(options.iter().map(part).collect::<InputResult<_>>()?)
            }
            other => return Err(InputError::new("tracer", "a known tracer", format!("tracer not found: {other}"))),
        })
    }

    /// This tracer, or those inside it.
    pub fn parts(&self) -> impl Iterator<Item = &Self> {
        let (one, many) = match self {
            Self::Mux(parts) => (None, parts.as_slice()),
            other => (Some(other), [].as_slice()),
        };
        one.into_iter().chain(many.iter().map(|(_, tracer)| tracer))
    }
}

fn parity(types: &Value) -> InputResult<Tracer> {
    if types.as_str() == Some("localized") {
        return Ok(Tracer::Parity(ParityOptions { trace: true, localized: true, ..ParityOptions::default() }));
    }
    let list = types.as_array().ok_or_else(|| InputError::new("parity", "an array of trace types", types))?;
    let mut options = ParityOptions::default();
    for name in list {
        match name.as_str() {
            Some("trace") => options.trace = true,
            Some("stateDiff") => options.state_diff = true,
            Some("vmTrace") => options.vm_trace = true,
            _ => return Err(InputError::new("parity", "trace, stateDiff or vmTrace", name)),
        }
    }
    Ok(Tracer::Parity(options))
}

fn flag(object: &Map<String, Value>, name: &str) -> InputResult<bool> {
    match json::member(object, name) {
        None => Ok(false),
        Some(Value::Bool(value)) => Ok(*value),
        Some(other) => Err(InputError::new(name, "true or false", other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_tracer_is_refused_by_name() {
        let error = Tracer::parse(br#"{"tracer": "{result: function() {}}"}"#).expect_err("JavaScript");
        assert_eq!(error.field, "tracer");
        assert!(error.got.starts_with("tracer not found"));
        assert!(Tracer::parse(br#"{"tracer": "muxTracer", "tracerConfig": {"muxTracer": {}}}"#).is_err());
    }

    #[test]
    fn options_are_those_of_geth() {
        let tracer = Tracer::parse(br#"{"tracer": "callTracer", "tracerConfig": {"withLog": true}}"#);
        assert_eq!(tracer, Ok(Tracer::Calls(CallOptions { only_top_call: false, with_log: true })));
        let logs = Tracer::parse(br#"{"enableMemory": true, "limit": 7}"#);
        assert_eq!(logs, Ok(Tracer::StructLogs(StructOptions { memory: true, limit: 7, ..StructOptions::default() })));
        assert_eq!(Tracer::parse(b"").map(|tracer| tracer.parts().count()), Ok(1));
    }
}
