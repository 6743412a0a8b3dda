//! Finds the fields that the eBPF programs read in the running kernel's types (BTF) and in the tracepoints' `format` files.
//!
//! Kernels rename and move fields. The table of [`Layout::FIELDS`] has the names that each has had; one that is not there stays
//! [`ABSENT`], and the programs do without it. What takes more than a name is worked out here.

mod files;
mod walk;

use std::{fs, path::Path};

use btf_rs::{Btf, BtfType, Type};
use kmemtrace_common::layout::{ABSENT, Layout, Place};

/// The layout as far as this kernel tells it. `memory_hierarchy` is the kernel's id of the memory hierarchy, `numa_nodes` how
/// many NUMA nodes the machine may have; `symbol` gives the address of a kernel symbol.
pub(super) fn resolve(
    types: Option<&Btf>,
    tracefs: Option<&Path>,
    memory_hierarchy: u32,
    numa_nodes: Option<u32>,
    symbol: impl FnOnce(&str) -> Option<u64>,
) -> Layout {
    let mut layout = Layout {
        memory_hierarchy,
        numa_nodes: numa_nodes.unwrap_or(ABSENT),
        ..Layout::UNKNOWN
    };
    let types = types.map(Types);
    for field in Layout::FIELDS {
        if let Some(value) = place(field.place, types.as_ref(), tracefs) {
            (field.set)(&mut layout, value);
        }
    }
    if let Some(types) = &types {
        walk::from_types(types, symbol, &mut layout);
        files::from_types(types, &mut layout);
        // From 7.1 on the list is that of a NUMA node.
        let own = types.offset("mem_cgroup.objcg_list");
        layout.objcg_by_node = u32::from(own.is_none());
        let apart = types.offset("cgroup_subsys_state.refcnt.data");
        layout.css_ref_apart = u32::from(apart.is_some());
        // Where v1's counter of memory and swap is not in the place of v2's of swap (5.4).
        if memory_hierarchy != 0
            && let Some(both) = types.offset("mem_cgroup.memsw.usage")
        {
            layout.memcg_swap = both;
        }
    }
    layout
}

/// The value of a field, if it is told at one place.
fn place(place: Place, types: Option<&Types<'_>>, tracefs: Option<&Path>) -> Option<u32> {
    match place {
        Place::Members(paths) => paths.iter().find_map(|path| types?.offset(path)),
        Place::Element(array, of, index) => {
            let types = types?;
            Some(types.offset(array)? + 8 * types.enumerator(of, index)?)
        }
        Place::Value(of, name) => types?.enumerator(of, name),
        Place::Argument(tracepoint, ty) => {
            let arguments = types?.tracepoint(&format!("btf_trace_{tracepoint}"))?;
            let number = arguments.iter().position(|argument| argument == ty)?;
            u32::try_from(number).ok()
        }
        Place::Format(event, name, bytes) => {
            let format = tracefs?.join("events").join(event).join("format");
            offset_in_format(&fs::read(format).ok()?, name, bytes)
        }
        Place::Computed => None,
    }
}

/// What one memcg costs here, in bytes.
pub(super) fn memcg_bytes(types: &Btf, numa_nodes: u32, cpus: u32) -> Option<u64> {
    walk::memcg_bytes(&Types(types), numa_nodes, cpus)
}

/// The kernel's types.
struct Types<'a>(&'a Btf);

impl Types<'_> {
    /// The byte offset of the member that `path` leads to, `structure.member.member`; unnamed members are looked through.
    fn offset(&self, path: &str) -> Option<u32> {
        Some(self.member(path)?.0)
    }

    /// The bytes of a structure.
    fn size(&self, name: &str) -> Option<u64> {
        let types = self.0.resolve_types_by_name(name).ok()?;
        types.iter().find_map(|ty| match ty {
            Type::Struct(structure) => u64::try_from(structure.size()).ok(),
            _ => None,
        })
    }

    /// The same, with the member's type.
    fn member(&self, path: &str) -> Option<(u32, Type)> {
        let (structure, path) = path.split_once('.')?;
        let path: Vec<_> = path.split('.').collect();
        let types = self.0.resolve_types_by_name(structure).ok()?;
        types.iter().find_map(|ty| self.member_of(ty, &path))
    }

    fn member_of(&self, ty: &Type, path: &[&str]) -> Option<(u32, Type)> {
        let Some((first, rest)) = path.split_first() else {
            return Some((0, ty.clone()));
        };
        let (Type::Struct(structure) | Type::Union(structure)) = ty else {
            return None;
        };
        structure.members.iter().find_map(|member| {
            let name = self.0.resolve_name(member).unwrap_or_default();
            let path = match name.as_str() {
                "" => path,
                name if name == *first => rest,
                _ => return None,
            };
            let (within, ty) = self.member_of(&self.resolved(member)?, path)?;
            // A bit field has no byte offset.
            let whole = member.bitfield_size().is_none_or(|bits| bits == 0);
            whole.then_some((member.bit_offset() / 8 + within, ty))
        })
    }

    /// The type behind a member, argument or pointer, without typedefs and qualifiers.
    fn resolved(&self, of: &dyn BtfType) -> Option<Type> {
        let mut ty = self.0.resolve_chained_type(of).ok()?;
        while let Type::Typedef(_)
        | Type::Const(_)
        | Type::Volatile(_)
        | Type::Restrict(_)
        | Type::TypeTag(_) = &ty
        {
            ty = self.0.resolve_chained_type(ty.as_btf_type()?).ok()?;
        }
        Some(ty)
    }

    /// The value that `name` has in the enumeration `of`.
    fn enumerator(&self, of: &str, name: &str) -> Option<u32> {
        self.0
            .resolve_types_by_name(of)
            .ok()?
            .iter()
            .find_map(|ty| match ty {
                Type::Enum(e) => e
                    .members
                    .iter()
                    .find(|member| self.0.resolve_name(*member).is_ok_and(|n| n == name))
                    .map(btf_rs::EnumMember::val),
                _ => None,
            })
    }

    /// The types of a raw tracepoint's arguments, from the type of its probes, whose first parameter is the probe's own data.
    fn tracepoint(&self, name: &str) -> Option<Vec<String>> {
        let types = self.0.resolve_types_by_name(name).ok()?;
        let typedef = types.iter().find(|ty| matches!(ty, Type::Typedef(_)))?;
        let pointer = self.0.resolve_chained_type(typedef.as_btf_type()?).ok()?;
        let Type::FuncProto(proto) = self.0.resolve_chained_type(pointer.as_btf_type()?).ok()?
        else {
            return None;
        };
        proto
            .parameters
            .iter()
            .skip(1)
            .map(|parameter| self.argument(parameter))
            .collect()
    }

    /// A type's name, `NAME *` if it is a pointer to that.
    fn argument(&self, parameter: &dyn BtfType) -> Option<String> {
        let ty = self.0.resolve_chained_type(parameter).ok()?;
        let name = |ty: &Type| {
            ty.as_btf_type()
                .and_then(|ty| self.0.resolve_name(ty).ok())
                .unwrap_or_default()
        };
        if let Type::Ptr(pointer) = &ty {
            let target = self.resolved(pointer)?;
            let target = if matches!(target, Type::Void) {
                "void".to_owned()
            } else {
                name(&target)
            };
            return Some(format!("{target} *"));
        }
        Some(name(&ty))
    }
}

/// The offset of a field of so many bytes in a tracepoint's `format` file, whose lines read
/// `field:__data_loc char[] path; offset:24; size:4; signed:0;`.
fn offset_in_format(format: &[u8], name: &str, bytes: u32) -> Option<u32> {
    String::from_utf8_lossy(format).lines().find_map(|line| {
        let parts = line.trim().strip_prefix("field:")?.split(';');
        let parts: Vec<_> = parts.map(str::trim).collect();
        let declared = parts.first()?.rsplit([' ', '*']).next()?;
        let declared = declared.split('[').next()?;
        if declared != name {
            return None;
        }
        let number = |key: &str| {
            let value = parts.iter().find_map(|part| part.strip_prefix(key))?;
            value.parse::<u32>().ok()
        };
        number("offset:").filter(|_| number("size:") == Some(bytes))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FORMAT: &[u8] = b"name: cgroup_mkdir
ID: 312
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;

\tfield:int root;\toffset:8;\tsize:4;\tsigned:1;
\tfield:int level;\toffset:12;\tsize:4;\tsigned:1;
\tfield:u64 id;\toffset:16;\tsize:8;\tsigned:0;
\tfield:__data_loc char[] path;\toffset:24;\tsize:4;\tsigned:0;
\tfield:const char * pathname;\toffset:32;\tsize:8;\tsigned:0;

print fmt: \"root=%d id=%llu level=%d path=%s\", REC->root, REC->id, REC->level, __get_str(path)
";

    #[test]
    fn a_format_tells_where_a_field_is() {
        for (name, offset, size) in [
            ("root", 8, 4),
            ("id", 16, 8),
            ("path", 24, 4),
            ("pathname", 32, 8),
        ] {
            let found = |size| offset_in_format(FORMAT, name, size);
            assert_eq!(found(size), Some(offset), "{name}");
            assert_eq!(found(12 - size), None, "{name}");
        }
        assert_eq!(offset_in_format(FORMAT, "absent", 8), None);
    }

    #[test]
    fn without_btf_and_tracefs_nothing_is_known_but_what_the_files_say() {
        let layout = resolve(None, None, 4, Some(2), |_| None);
        assert_eq!(
            layout,
            Layout {
                memory_hierarchy: 4,
                numa_nodes: 2,
                ..Layout::UNKNOWN
            }
        );
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            offset_in_format(&bytes, "id", 8);
            let line = [b"field:".as_slice(), &bytes].concat();
            offset_in_format(&line, "id", 8);
        }
    }
}
