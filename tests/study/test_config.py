from __future__ import annotations

import tomllib

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lossatlas.core.errors import ConfigurationError, InputError
from lossatlas.study.claim_inputs import penalty_of, way_of
from lossatlas.study.examples import load_details, save_details
from lossatlas.study.load import load_config, parse_config, recipe_names, recipe_summary
from lossatlas.study.made import make_problem, make_problems

MINIMAL = {"name": "t", "networks": {"fcp": {"optimizers": {"lbfgs-gss": {}}}}}

counts = st.integers(1, 2**31 - 1)
words = st.text(st.characters(exclude_categories=["Cs"]))


@st.composite
def documents(draw):
    fcp = {"replicas": draw(counts), "optimizers": {"lbfgs-gss": {"iterations": draw(counts)}}}
    fcp["keep"] = draw(st.integers(1, fcp["replicas"]))
    sgd = {"epochs": draw(counts), "batch_size": draw(counts), "options": {"lr": draw(st.floats(0, 1e6))}}
    document = {
        "name": draw(words.filter(bool)),
        "description": draw(words),
        "seed": draw(st.integers(0, 2**63 - 1)),
        "dtype": draw(st.sampled_from(["float32", "float64"])),
        "data": {"name": "digits", "validation": draw(st.floats(0, 1e4)), "train_size": draw(counts)},
        "networks": {"fcp": fcp, "lstm": {"optimizers": {"sgd": sgd}}},
    }
    if draw(st.booleans()):
        stage = {
            "pairs": draw(counts),
            "weight_sets": draw(st.sampled_from([["train"], ["test", "train"]])),
            "networks": draw(st.sampled_from([["fcp"], ["lstm", "fcp"]])),
        }
        document["paths"] = {draw(words.filter(bool)): stage}
        document["atlas"] = {"all": {"method": "linear", "minima": draw(counts), "paths": draw(counts)}}
    return document


def raises(document, message):
    with pytest.raises(ConfigurationError) as caught:
        parse_config(document)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def load(tmp_path, text, *overrides):
    (tmp_path / "x.toml").write_text(text, encoding="utf-8")
    return load_config(tmp_path / "x.toml", overrides)


@settings(deadline=None)
@given(documents())
def test_a_configuration_comes_back_from_toml(document):
    config = parse_config(document)
    assert parse_config(tomllib.loads(config.to_toml())) == config


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_loads_and_says_what_it_is(name):
    config = load_config(name)
    assert config.name == name
    assert recipe_summary(name) == config.description != ""
    assert parse_config(tomllib.loads(config.to_toml())) == config


def test_a_configuration_does_not_change():
    with pytest.raises(ValueError, match="frozen"):
        parse_config(MINIMAL).seed = 3


def test_loading_leaves_the_random_state_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    load_config("quickstart")
    assert torch.equal(torch.get_rng_state(), before)


# ------------------------------------------------------------------ --set
@pytest.mark.parametrize(
    ("override", "read", "value"),
    [
        ("seed=7", lambda c: c.seed, 7),
        (" seed = 7 ", lambda c: c.seed, 7),
        ("name=bare words", lambda c: c.name, "bare words"),
        ('name="quoted"', lambda c: c.name, "quoted"),
        ("name=a=b", lambda c: c.name, "a=b"),
        ("name=ünicode", lambda c: c.name, "ünicode"),
        ("name=1\nseed = 5", lambda c: (c.name, c.seed), ("1\nseed = 5", 0)),
        ("networks.fcp.optimizers.sgd.options.lr=1e-3", lambda c: c.networks["fcp"].optimizers["sgd"].options,
         {"lr": 1e-3}),
        ("networks.fcp.optimizers.sgd.options={lr=0.5}", lambda c: c.networks["fcp"].optimizers["sgd"].options,
         {"lr": 0.5}),
        ("paths.straight.pairs=3", lambda c: c.paths["straight"].pairs, 3),
        ("paths.straight.weight_sets=['test']", lambda c: c.paths["straight"].weight_sets, ("test",)),
        ("data.train_size=10", lambda c: c.data.train_size, 10),
    ],
)  # fmt: skip
def test_overrides(tmp_path, override, read, value):
    text = 'name = "t"\n[networks.fcp.optimizers.lbfgs-gss]\n'
    assert read(load(tmp_path, text, override)) == value


def test_the_last_override_wins():
    assert load_config("quickstart", ["seed=1", "seed=2"]).seed == 2


@pytest.mark.parametrize(
    "override", ["", "seed", "=3", " =3", ".=3", "networks..replicas=2", "networks.fcp.=2", "..seed=1"]
)
def test_overrides_without_a_key(override):
    with pytest.raises(ConfigurationError, match="expected key=value, got"):
        load_config("quickstart", [override])


def test_an_override_below_a_value_and_one_that_is_no_text():
    with pytest.raises(ConfigurationError, match="expected a table at 'seed'"):
        load_config("quickstart", ["seed.x=3"])
    with pytest.raises(ConfigurationError, match="UTF-8"):
        load_config("quickstart", ["name=\udcff"])


# ------------------------------------------------------------------ names
@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("sed", "seed"),
        ("netwroks", "networks"),
        ("data.train_sise", "train_size"),
        ("networks.fcp.replcas", "replicas"),
        ("networks.fcp.optimizers.lbfgs-gss.iteratoins", "iterations"),
        ("networks.fcp.optimizers.sgd.bach_size", "batch_size"),
        ("paths.straight.weightsets", "weight_sets"),
        ("atlas.all.minma", "minima"),
    ],
)
def test_unknown_keys_come_with_the_nearest(key, nearest):
    with pytest.raises(ConfigurationError) as caught:
        load_config("quickstart", [f"{key}=1"])
    assert f"unknown key '{key}' in recipe 'quickstart': did you mean '{nearest}'?" in str(caught.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("networks.fpc.optimizers.sgd.epochs=1", "unknown problem 'fpc': did you mean 'fcp'?"),
        ("networks.fcp.optimizers.lbfgs-gs.iterations=1", "unknown optimizer 'lbfgs-gs': did you mean 'lbfgs-gss'?"),
        ("networks.fcp.optimizers.sgd.options.momentun=1", "sgd has no option 'momentun': did you mean 'momentum'?"),
        ("networks.fcp.optimizers.adam.options.bettas=[0.1, 0.2]", "did you mean 'betas'?"),
        ("data.name=mnits", "unknown data set 'mnits': did you mean 'mnist'?"),
        ("paths.straight.method=linaer", "unknown path finder 'linaer': did you mean 'linear'?"),
        ("paths.straight.options.pionts=3", "path finder 'linear' has no option 'pionts': did you mean 'points'?"),
        (
            "networks.fcp.optimizers.lbfgs-gss.epochs=3",
            "expected 'iterations' for optimizer 'lbfgs-gss' of network 'fcp'",
        ),
        (
            "networks.fcp.optimizers.lbfgs-gss.compiled=true",
            "expected compiled = true for a mini-batch optimizer, got it for 'lbfgs-gss' of network 'fcp'",
        ),
        ("networks.fcp.optimizers.sgd.iterations=3", "expected 'epochs' for optimizer 'sgd' of network 'fcp'"),
        ("select=validation", "expected data.validation above 0"),
        ("networks.fcp.keep=9", "expected to keep at most 6 replicas, got 9"),
    ],
)
def test_names_that_do_not_fit(override, message):
    with pytest.raises(ConfigurationError) as caught:
        load_config("quickstart", [override])
    assert message in str(caught.value)


# ------------------------------------------------------------------ values
NONSENSE = ["nan", "inf", "-1", "0", "1.5", "'abc'", "''", "[]", "{}", "[1]", "1979-05-27", "99999999999999999999"]


@pytest.mark.parametrize("value", NONSENSE)
@pytest.mark.parametrize(
    "key",
    ["networks.fcp.replicas", "networks.fcp.keep", "networks.fcp.optimizers.sgd.batch_size", "data.train_size",
     "networks.fcp.optimizers.sgd.epochs", "networks.fcp.optimizers.sgd.record_every", "networks", "data",
     "networks.fcp", "networks.fcp.optimizers", "dtype", "select", "name", "paths.straight.pairs",
     "paths.straight.weight_sets", "paths.straight.options.points",
     "networks.fcp.optimizers.lbfgs-gss.options.history", "networks.fcp.optimizers.sgd.options.nesterov"],
)  # fmt: skip
def test_nonsense_is_refused_in_one_sentence(key, value):
    # What happens to be valid for the key.
    fine = {("name", "'abc'"), ("data", "{}"), ("paths.straight.weight_sets", "[]"),
            ("paths.straight.options.points", "99999999999999999999"),
            ("networks.fcp.optimizers.lbfgs-gss.options.history", "99999999999999999999")}  # fmt: skip
    if (key, value) in fine:
        load_config("quickstart", [f"{key}={value}"])
        return
    with pytest.raises(ConfigurationError) as caught:
        load_config("quickstart", [f"{key}={value}"])
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) > 30


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("networks.fcp.optimizers.lbfgs-gss.options.history=1.5", "expected a whole number for 'history'"),
        ("networks.fcp.optimizers.lbfgs-gss.options.evaluations=2.5", "expected a whole number for 'evaluations'"),
        ("networks.fcp.optimizers.lbfgs-gss.options.guard='no'", "expected true or false for 'guard'"),
        ("networks.fcp.optimizers.lbfgs-gss.options.history=-3", "at least 1, got -3"),
        ("networks.fcp.optimizers.lbfgs-gss.options.tolerance=nan", "got nan"),
        ("networks.fcp.optimizers.sgd.options.lr=-1", "got -1"),
        ("networks.fcp.optimizers.sgd.options.lr=nan", "got nan"),
        ("networks.fcp.optimizers.sgd.options.lr=abc", "expected a learning rate"),
        ("networks.fcp.optimizers.adam.options.betas=[0.9]", "optimizer 'adam'"),
        ("networks.fcp.optimizers.adam.options.betas=3", "betas"),
        ("networks.fcp.optimizers.adam.options.lr=-1", "learning rate"),
        (
            "paths.straight.options.points=1",
            "at least 2 points on a path, got 1 in the options of path finder 'linear'",
        ),
        ("paths.straight.options.points=2.5", "expected a whole number of points, got 2.5 in the options of path"),
        ("paths.straight.options.points=abc", "path finder 'linear'"),
        ("paths.straight.weight_sets=['train', 'train']", "expected each name once"),
        ("paths.straight.weight_sets=['trian']", "'train' or 'test'"),
        ("paths.straight.networks=['fpc']", "did you mean 'fcp'?"),
        ("paths.method=linear", "expected a table 'paths.method' in recipe 'quickstart', got 'linear'"),
        ("seed=-1", "greater than or equal to 0"),
        ("seed=9223372036854775808", "less than"),
        ("data.validation=nan", "got nan"),
        ("data.validation=-0.1", "greater than or equal to 0"),
    ],
)
def test_values_that_cannot_be(override, message):
    with pytest.raises(ConfigurationError) as caught:
        load_config("quickstart", [override])
    assert message in str(caught.value)


def test_missing_keys():
    raises({}, "expected the key 'name'")
    raises({"name": "t"}, "expected the key 'networks'")
    raises({"name": "t", "networks": {}}, "at least 1 item")
    raises({"name": "t", "networks": {"fcp": {}}}, "expected the key 'networks.fcp.optimizers'")
    raises({"name": "t", "networks": {"fcp": {"optimizers": {}}}}, "at least 1 item")
    assert parse_config(MINIMAL).networks["fcp"].replicas == 6


# ------------------------------------------------------------------ files
@pytest.mark.parametrize(
    "text", ["hello world", "a = ", "name = 'a'\nname = 'b'", "a = " + "[" * 5000, "\x00", "\ufeffname = 1"]
)
def test_syntax_errors(tmp_path, text):
    with pytest.raises(ConfigurationError, match=r"expected TOML in .*x\.toml, got a syntax error"):
        load(tmp_path, text)


def test_unreadable_files(tmp_path):
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "folder.toml").mkdir()
    for name in ("bytes.toml", "folder.toml", "none.toml", "n" * 300 + ".toml"):
        with pytest.raises(ConfigurationError, match="expected a readable TOML file"):
            load_config(tmp_path / name)
    for source in ("quikstart", "", ".", "..", "quickstart/", str(tmp_path), "/dev/null", "x.TOML"):
        with pytest.raises(ConfigurationError, match="unknown recipe"):
            load_config(source)


def test_stages_of_the_paper_are_known_by_how_they_search() -> None:
    paths = load_config("paper").paths
    ways = {name: (way_of(how), penalty_of(how)) for name, how in paths.items()}
    assert ways["published"] == ways["published-on-test"] == ("published", 1e-4)
    assert ways["published-penalty-high"] == ("published", 1e-3)
    assert ways["converged"] == ("converged", None)
    assert ways["aligned"] == ways["straight-aligned"] == ("aligned", None)
    assert ways["straight"] == ("as they are", None)
    small = load_config("paper-small").paths
    assert {way_of(how) for name, how in small.items() if "shortened" in name} == {"shortened"}


# ------------------------------------------------------------------ networks by a name of one's own
TWO = {
    "name": "two",
    "data": {"train_size": 40, "test_size": 20},
    "networks": {
        "narrow": {"problem": "fcp", "replicas": 2, "options": {"hidden": 3}, "optimizers": {"sgd": {"epochs": 1}}},
        "wide": {"problem": "fcp", "replicas": 2, "options": {"hidden": 6}, "optimizers": {"sgd": {"epochs": 1}}},
    },
}


def test_one_problem_with_two_sets_of_options():
    config = parse_config(TWO)
    assert [config.problem_of(name) for name in config.networks] == ["fcp", "fcp"]
    assert parse_config(tomllib.loads(config.to_toml())) == config
    made = make_problems(config, "cpu")
    assert {name: problem.dim for name, problem in made.items()} == {"narrow": 784 * 3 + 9 + 30, "wide": 784 * 6 + 96}
    assert made["wide"].details["problem"] == "fcp"
    plain = parse_config({"name": "one", "networks": {"fcp": {"optimizers": {"sgd": {}}}}})
    assert plain.problem_of("fcp") == "fcp"
    assert "problem" not in make_problems(plain, "cpu")["fcp"].details
    assert "problem" not in plain.to_toml()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"problem": "fpc"}, "unknown problem 'fpc': did you mean 'fcp'"),
        ({"problem": "lenet"}, "model 'lenet' has no option 'hidden'"),
        ({"problem": ""}, "unknown problem 'narrow'"),
    ],
)
def test_wrong_problems_are_refused(change, words):
    document = {**TWO, "networks": {"narrow": {**TWO["networks"]["narrow"], **change}}}
    with pytest.raises(ConfigurationError, match=words):
        parse_config(document)


def test_a_problems_name_is_not_given_to_another():
    document = {**TWO, "networks": {"lenet": TWO["networks"]["narrow"]}}
    with pytest.raises(ConfigurationError, match="a name of your own for a network with problem = 'fcp', got"):
        parse_config(document)


def test_a_network_may_see_fewer_examples(tmp_path):
    optimizers = {"sgd": {"batch_size": 20}}
    networks = {
        "fcp": {"optimizers": optimizers},
        "lstm": {"train_size": 30, "test_size": 20, "optimizers": optimizers},
    }
    document = {"name": "t", "data": {"name": "digits", "train_size": 50}, "networks": networks}
    config = parse_config(document)
    made = make_problems(config, "cpu")
    assert {name: (problem.train.samples, problem.test.samples) for name, problem in made.items()} == {
        "fcp": (50, 360),
        "lstm": (30, 20),
    }
    save_details(tmp_path, config, made)
    details = load_details(tmp_path, config)
    assert details is not None
    assert details["lstm"]["data"]["train"] == 30
    networks["lstm"]["train_size"] = 31
    assert load_details(tmp_path, parse_config(document)) is None  # these details are of other examples
    held_out = make_problem(config, "lstm", "cpu", validation=0.1)
    assert held_out.train.samples == 30
    assert held_out.details["data"]["validation"] == 144
    networks["lstm"]["train_size"] = 2000
    with pytest.raises(InputError, match="expected train_size between 1 and 1,437"):
        make_problems(parse_config(document), "cpu")
