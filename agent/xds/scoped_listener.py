"""The connection manager of scoped routes: it writes each request's scope into a header of its own and looks the
routes up by that.

What a RouteConfiguration does by itself is done by two filters: hosts are case-insensitive (the first, behind a
matcher, since it is almost never needed), and a host that nobody serves goes to the wildcards (the second, only where
there are any). A host that has a scope stays there, also when no route matches.
"""

from __future__ import annotations

from envoy.config.core.v3 import base_pb2, config_source_pb2
from envoy.extensions.common.matching.v3 import extension_matcher_pb2
from envoy.extensions.filters.common.matcher.action.v3 import skip_action_pb2
from envoy.extensions.filters.http.lua.v3 import lua_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.extensions.http.early_header_mutation.header_mutation.v3 import header_mutation_pb2
from envoy.type.matcher.v3 import http_inputs_pb2
from google.protobuf import any_pb2
from google.protobuf.message import Message

from agent.xds.scopes import HEADER, LOWER, MARK, REST, SEPARATOR

_EARLY = "envoy.http.early_header_mutation.header_mutation"
_LOWER_CASE = f"""\
function envoy_on_request(handle)
  local headers = handle:headers()
  headers:replace("{HEADER}", string.lower(headers:get("{HEADER}")))
  handle:clearRouteCache()
end
"""
_WITHOUT_SCOPE = f"""\
function envoy_on_request(handle)
  if handle:virtualHost():metadata():get("found") == nil then
    handle:headers():replace("{HEADER}", "%s")
    handle:clearRouteCache()
  end
end
"""


def scope(manager: hcm_pb2.HttpConnectionManager, config: str, rest: bool) -> None:
    """Change a manager that asks for the RouteConfiguration `config` to one that asks for its scopes.

    `rest`: there are virtual hosts without a scope of their own.
    """
    manager.ClearField("rds")
    mutation = header_mutation_pb2.HeaderMutation()
    append = mutation.mutations.add().append
    append.header.key = HEADER
    append.header.value = f"{config}{SEPARATOR}%REQ(:authority)%"  # never empty, so always written
    append.append_action = base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
    manager.early_header_mutation_extensions.add(name=_EARLY, typed_config=_pack(mutation))
    routes = manager.scoped_routes
    routes.name = "scopes"  # the same everywhere, as is the source: all managers then share one subscription
    routes.rds_config_source.CopyFrom(_ads())
    routes.scoped_rds.scoped_rds_config_source.CopyFrom(_ads())
    key = routes.scope_key_builder.fragments.add().header_value_extractor
    key.name, key.element_separator, key.index = HEADER, ":", 0  # without the port
    filters = [_lower_case()]
    if rest:
        code = _WITHOUT_SCOPE % f"{config}{SEPARATOR}{REST}"
        filters.append(hcm_pb2.HttpFilter(name=MARK, typed_config=_lua(code)))
    filters += manager.http_filters
    del manager.http_filters[:]
    manager.http_filters.extend(filters)


def _lower_case() -> hcm_pb2.HttpFilter:
    guarded = extension_matcher_pb2.ExtensionWithMatcher()
    guarded.extension_config.name = LOWER
    guarded.extension_config.typed_config.CopyFrom(_lua(_LOWER_CASE))
    skipping = guarded.xds_matcher.matcher_list.matchers.add()
    upper = skipping.predicate.not_matcher.single_predicate
    upper.input.name = "scope"
    upper.input.typed_config.CopyFrom(_pack(http_inputs_pb2.HttpRequestHeaderMatchInput(header_name=HEADER)))
    upper.value_match.safe_regex.regex = ".*[A-Z].*"
    upper.value_match.safe_regex.google_re2.SetInParent()
    skipping.on_match.action.name = "skip"
    skipping.on_match.action.typed_config.CopyFrom(_pack(skip_action_pb2.SkipFilter()))
    return hcm_pb2.HttpFilter(name=LOWER, typed_config=_pack(guarded))


def _lua(code: str) -> any_pb2.Any:
    return _pack(lua_pb2.Lua(default_source_code=base_pb2.DataSource(inline_string=code)))


def _ads() -> config_source_pb2.ConfigSource:
    source = config_source_pb2.ConfigSource(resource_api_version=config_source_pb2.ApiVersion.V3)
    source.ads.SetInParent()
    return source


def _pack(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message, deterministic=True)
    return packed
