//! JSON Schema of what kmemtrace writes, made of the types that it is written from.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Value, json};

/// The schema's language.
pub(crate) const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The schema of one object. Fields that are not named in it pass: they are a later version's.
pub(crate) fn document<T: JsonSchema>(title: &str, description: &str) -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<T>().to_value();
    without_null(&mut schema);
    schema["$schema"] = DIALECT.into();
    schema["title"] = title.into();
    schema["description"] = description.into();
    schema
}

/// A field that is not known is absent, and not null.
pub(crate) fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|kind| kind != "null");
                if let [one] = &types[..] {
                    let one = one.clone();
                    object.insert("type".into(), one);
                }
            }
            object.values_mut().for_each(without_null);
        }
        Value::Array(list) => {
            list.retain(|one| *one != json!({ "type": "null" }));
            list.iter_mut().for_each(without_null);
        }
        _ => {}
    }
}
