"""The shapes say what OpenAPI says; their checks are tested with `documents`."""

from lifecycle.forms import PolicyDocument, TemplateDocument, schema_components


def test_every_part_of_a_document_has_a_schema_that_refuses_unknown_fields() -> None:
    (template, policy), components = schema_components(TemplateDocument, PolicyDocument)
    assert template == {"$ref": "#/components/schemas/TemplateDocument"}
    assert policy == {"$ref": "#/components/schemas/PolicyDocument"}
    assert components["Metadata"]["required"] == ["name"]
    assert components["Spec"]["properties"]["workingDir"]["anyOf"]
    objects = [each for each in components.values() if each.get("type") == "object"]
    assert objects and all(each["additionalProperties"] is False for each in objects)


def test_a_quantity_is_text_with_examples() -> None:
    _references, components = schema_components(TemplateDocument)
    freeze = components["IdleForm"]["properties"]["freezeAfter"]
    assert freeze["type"] == "string" and "never" in freeze["examples"]
