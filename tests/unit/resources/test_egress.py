"""What the egress configuration promises: strict names, and files the real Envoy accepts."""

import ipaddress
import string
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ringfence import allowlist
from ringfence.api import EgressRule
from ringfence.hosts import parse_host
from ringfence.resources.egress import envoy_args, envoy_files, wait_args

RESOLVER = "10.96.0.10"
CONFIG_MAP_LIMIT = 1024 * 1024


def default_rules() -> list[EgressRule]:
    return [EgressRule(host=host) for host in allowlist.default_hosts()]


def denied() -> list[IPv4Network | IPv6Network]:
    return [*allowlist.denied_ipv4(), *allowlist.denied_ipv6()]


def many_rules() -> list[EgressRule]:
    return [EgressRule(host=f"h{n}.example.org", ports=tuple(range(440, 448))) for n in range(64)]


# --- names ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("a.example.org", "a.example.org"),
        ("A.Example.ORG", "a.example.org"),
        ("*.example.org", "*.example.org"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("1.example.org", "1.example.org"),
        ("a" * 63 + ".example.org", "a" * 63 + ".example.org"),
    ],
)
def test_a_host_name_has_one_canonical_spelling(text: str, host: str) -> None:
    assert parse_host(text) == host


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "label ''"),
        ("localhost", "two labels"),
        ("*.org", "two labels"),
        ("*", "label"),
        ("a.*.example.org", "label"),
        ("**.example.org", "label"),
        ("*a.example.org", "label"),
        ("*.*.example.org", "label"),
        ("example.org.", "trailing dot"),
        (".example.org", "label ''"),
        ("a..example.org", "label ''"),
        ("-a.example.org", "label '-a'"),
        ("a-.example.org", "label 'a-'"),
        ("a_b.example.org", "label 'a_b'"),
        ("a b.example.org", "label 'a b'"),
        ("a.example.org\n", "label"),
        ("a" * 64 + ".example.org", "63"),
        ("a." * 126 + "example.org", "253"),
        ("user@example.org", "user information"),
        ("example.org:443", "port"),
        ("https://example.org", "path or URL"),
        ("example.org/x", "path or URL"),
        ("evil.example\0.example.org", "NUL"),
        ("127.0.0.1", "IP literal"),
        ("2130706433", "IP literal"),
        ("0x7f000001", "IP literal"),
        ("0177.0.0.1", "IP literal"),
        ("0x7f.1", "IP literal"),
        ("127.1", "IP literal"),
        ("example.0x", "IP literal"),
        ("*.0.0.1", "IP literal"),
        ("::1", "IP literal"),
        ("[::1]", "IP literal"),
        ("::ffff:10.0.0.1", "IP literal"),
        ("bücher.example", "xn--"),
        ("\u2488.example", "ASCII"),
        ("a\u3002example.org", "ASCII"),
        ("\u212aube.example.org", "ASCII"),
        ("xn--.example", "xn--"),
        ("xn--abc-.example", "label"),
        ("xn--9999999999.example", "xn--"),
        ("ab--cd.example", "third place"),
    ],
)
def test_anything_but_a_plain_name_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(ValueError, match="egress host") as refusal:
        parse_host(text)
    assert why in str(refusal.value)


@given(st.text(alphabet=string.printable + "\0é。①", max_size=40))
def test_an_accepted_name_is_never_an_address_and_is_a_fixed_point(text: str) -> None:
    try:
        host = parse_host(text)
    except ValueError:
        return
    assert parse_host(host) == host
    assert set(host) <= set(string.ascii_lowercase + string.digits + "-.*")
    with pytest.raises(ValueError, match="does not appear to be an IPv4 or IPv6"):
        ipaddress.ip_address(host.removeprefix("*."))


@pytest.mark.parametrize("ports", [(), (0,), (65536,), (443, -1)])
def test_a_rule_needs_real_ports(ports: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="ports"):
        EgressRule(host="a.example.org", ports=ports)


# --- data ----------------------------------------------------------------------------------


def test_the_default_allowlist_is_two_valid_exact_hosts() -> None:
    hosts = allowlist.default_hosts()
    assert len(hosts) == 2
    assert [parse_host(host) for host in hosts] == list(hosts)
    assert not any(host.startswith("*") for host in hosts)


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.1", "10.96.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254"),
        *("169.254.169.254", "169.254.170.23", "172.31.255.255", "192.168.1.1", "192.0.0.192"),
        *("168.63.129.16", "198.18.0.1", "224.0.0.1", "239.255.255.250", "255.255.255.255"),
        *("::", "::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "fd00:ec2::254"),
        *("fe80::1", "ff02::1", "2002:a9fe:a9fe::1"),
    ],
)
def test_private_metadata_and_reserved_addresses_are_denied(address: str) -> None:
    target = ipaddress.ip_address(address)
    assert any(target in network for network in denied())


@pytest.mark.parametrize("address", ["1.1.1.1", "151.101.0.223", "203.0.113.10", "2606:4700::1111"])
def test_public_addresses_are_not_denied(address: str) -> None:
    target = ipaddress.ip_address(address)
    assert not any(target in network for network in denied())


# --- files ---------------------------------------------------------------------------------


def as_static(files: Mapping[str, str]) -> dict[str, Any]:
    """Put the discovered resources into one bootstrap: `--mode validate` does not read them."""
    bootstrap = yaml.safe_load(files["envoy.yaml"])
    listeners, routes = (
        yaml.safe_load(files[name])["resources"] for name in ("lds.yaml", "rds.yaml")
    )
    manager = listeners[0]["filter_chains"][0]["filters"][0]["typed_config"]
    assert manager.pop("rds")["route_config_name"] == routes[0]["name"]
    manager["route_config"] = {**routes[0], "validate_clusters": True}
    for resource in (*listeners, manager["route_config"]):
        del resource["@type"]
    del bootstrap["dynamic_resources"]
    return {
        **bootstrap,
        "static_resources": {**bootstrap["static_resources"], "listeners": listeners},
    }


def validate(config: Mapping[str, Any], directory: Path) -> subprocess.CompletedProcess[str]:
    path = directory / "static.yaml"
    path.write_text(yaml.safe_dump(dict(config)))
    envoy = str(Path(sys.executable).with_name("envoy"))
    command = [envoy, "--mode", "validate", "--config-path", str(path), "--log-level", "warning"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "rules",
    [
        pytest.param([], id="nothing"),
        pytest.param(default_rules(), id="default"),
        pytest.param(many_rules(), id="many"),
        pytest.param(
            [EgressRule(host="*.example.org"), EgressRule(host="a.example.org")], id="suffix"
        ),
        pytest.param([EgressRule(host="*.example.org")], id="suffix alone"),
        pytest.param([EgressRule(host="a.example.org", ports=(443, 8443))] * 2, id="twice"),
    ],
)
def test_the_real_envoy_accepts_the_files_without_a_warning(
    rules: Sequence[EgressRule], tmp_path: Path
) -> None:
    result = validate(as_static(envoy_files(rules, resolver=RESOLVER)), tmp_path)
    assert result.returncode == 0, result.stderr
    assert "warning" not in result.stderr


def test_the_real_envoy_refuses_a_misspelt_field(tmp_path: Path) -> None:
    config = as_static(envoy_files(default_rules(), resolver=RESOLVER))
    config["static_resources"]["listeners"][2]["listener_filters_timeuot"] = "5s"
    assert validate(config, tmp_path).returncode != 0


def longest_rules() -> list[EgressRule]:
    labels = ".".join(["x" * 61] * 3)
    ports = tuple(range(440, 448))
    return [
        EgressRule(host=f"h{n:02}.{labels}.{'y' * 50}.example.org", ports=ports) for n in range(64)
    ]


@pytest.mark.parametrize("rules", [[], default_rules(), many_rules(), longest_rules()])
def test_the_files_fit_a_config_map(rules: Sequence[EgressRule]) -> None:
    files = envoy_files(rules, resolver=RESOLVER)
    assert set(files) == {"envoy.yaml", "lds.yaml", "rds.yaml"}
    assert sum(map(len, files.values())) < CONFIG_MAP_LIMIT / 2


def test_equal_rules_in_any_order_give_equal_files() -> None:
    rules = [EgressRule(host="b.example.org", ports=(8443, 443)), EgressRule(host="a.example.org")]
    split = [
        EgressRule(host="a.example.org"),
        EgressRule(host="b.example.org"),
        EgressRule(host="b.example.org", ports=(8443,)),
    ]
    assert envoy_files(rules, resolver=RESOLVER) == envoy_files(split, resolver=RESOLVER)


def test_a_changed_allowlist_changes_neither_the_bootstrap_nor_the_connect_listener() -> None:
    before = envoy_files(default_rules(), resolver=RESOLVER)
    after = envoy_files([EgressRule(host="a.example.org", ports=(8443,))], resolver=RESOLVER)
    assert before["envoy.yaml"] == after["envoy.yaml"]
    connect = [yaml.safe_load(files["lds.yaml"])["resources"][0] for files in (before, after)]
    assert connect[0] == connect[1]


def tunnel_listener(files: Mapping[str, str]) -> Any:
    """Return the one listener inside the tunnels."""
    (tunnel,) = yaml.safe_load(files["lds.yaml"])["resources"][2:]
    return tunnel


def selections(by_name: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (name or suffix, chain that it selects), in the order of the selection."""
    if tree := by_name.get("matcher_tree"):
        for name, on_match in tree["exact_match_map"]["map"].items():
            yield name, on_match["action"]["typed_config"]["value"]
        by_name = by_name.get("on_no_match", {}).get("matcher", {})
    for matcher in by_name.get("matcher_list", {}).get("matchers", []):
        suffix = matcher["predicate"]["single_predicate"]["value_match"]["suffix"]
        yield suffix, matcher["on_match"]["action"]["typed_config"]["value"]


def hosts_by_chain(files: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the names and suffixes that select each filter chain, in the order of selection."""
    tunnel, hosts = tunnel_listener(files), dict[str, list[str]]()
    for port in tunnel["filter_chain_matcher"]["matcher_list"]["matchers"]:
        suffix = port["predicate"]["single_predicate"]["value_match"]["suffix"]
        for name, chain in selections(port["on_match"]["matcher"]):
            assert chain.endswith(suffix)
            hosts.setdefault(chain, []).append(name)
    assert hosts.keys() == {chain["name"] for chain in tunnel["filter_chains"]}
    return hosts


def rules_for(hosts: Sequence[str]) -> list[EgressRule]:
    return [EgressRule(host=host) for host in hosts]


def test_each_host_and_port_has_a_chain_of_its_own() -> None:
    hosts = [f"h{n:02}.example.org" for n in range(31)]
    rules = [*rules_for(hosts), EgressRule(host=hosts[0], ports=(8443,))]
    wanted = {f"{host}:443": [host] for host in hosts} | {f"{hosts[0]}:8443": [hosts[0]]}
    assert hosts_by_chain(envoy_files(rules, resolver=RESOLVER)) == wanted


def test_the_hosts_of_a_very_long_list_share_a_chain_that_changes_with_them() -> None:
    hosts = [f"h{n:02}.example.org" for n in range(66)]
    long, longer = (
        hosts_by_chain(envoy_files(rules_for(some), resolver=RESOLVER))
        for some in (hosts[:65], hosts)
    )
    assert [len(chain) for chain in (*long.values(), *longer.values())] == [65, 66]
    assert long.keys() != longer.keys()


def test_an_exact_name_selects_before_a_suffix_and_a_long_suffix_before_a_short_one() -> None:
    hosts = ["*.example.org", "*.b.a.example.org", "*.a.example.org", "c.b.a.example.org"]
    order = [
        host
        for (host,) in hosts_by_chain(envoy_files(rules_for(hosts), resolver=RESOLVER)).values()
    ]
    assert order == ["c.b.a.example.org", ".b.a.example.org", ".a.example.org", ".example.org"]


def test_only_what_follows_the_allowlist_is_watched_for_changes() -> None:
    files = envoy_files(default_rules(), resolver=RESOLVER)
    assert "".join(files.values()).count("watched_directory") == 2


def test_only_loopback_is_listened_on_and_there_is_no_admin_interface() -> None:
    files = envoy_files(default_rules(), resolver=RESOLVER)
    assert "admin" not in yaml.safe_load(files["envoy.yaml"])
    listeners = yaml.safe_load(files["lds.yaml"])["resources"]
    addresses = [item["address"] for item in listeners if "internal_listener" not in item]
    assert addresses == [{"socket_address": {"address": "127.0.0.1", "port_value": 3128}}]


def test_names_are_resolved_by_the_given_server_alone() -> None:
    files = envoy_files(default_rules(), resolver=RESOLVER)
    chain = tunnel_listener(files)["filter_chains"][0]
    cache = chain["filters"][0]["typed_config"]["dns_cache_config"]
    resolver = cache["typed_dns_resolver_config"]["typed_config"]
    assert cache["dns_lookup_family"] == "V4_ONLY"
    assert resolver["resolvers"] == [{"socket_address": {"address": RESOLVER, "port_value": 53}}]
    assert resolver["use_resolvers_as_fallback"] is False
    assert resolver["dns_resolver_options"] == {"no_default_search_domain": True}


def test_the_commands_name_the_files_and_the_port() -> None:
    assert envoy_args()[:3] == ["envoy", "--config-path", "/etc/envoy/envoy.yaml"]
    assert wait_args(limits=True) == ["wait-for-proxy"]
