"""Who is let in to the pages: people by their address, automation by its one name."""

from typing import Any

import pytest

from mlops_assets_tests.k8s.made_pods import settings_of
from mlops_assets_tests.k8s.rendering import Object, render

BEHIND_A_LOGIN = ("staging", "production")


def proxy(overlay: str, name: str) -> Object:
    """The pod's specification of a proxy."""
    (found,) = (
        content["spec"]["template"]["spec"]
        for content in render(overlay)
        if (content["kind"], content["metadata"]["name"]) == ("Deployment", f"oidc-proxy-{name}")
    )
    spec: Object = found
    return spec


def arguments(overlay: str, name: str) -> dict[str, str]:
    (container,) = proxy(overlay, name)["containers"]
    return dict(argument.removeprefix("--").split("=", 1) for argument in container["args"])


@pytest.mark.parametrize("overlay", BEHIND_A_LOGIN)
@pytest.mark.parametrize("name", ["dagster", "mlflow"])
def test_people_come_by_the_domain_of_the_site_and_with_no_token(overlay: str, name: str) -> None:
    said = arguments(overlay, name)
    assert said["email-domain"] == "$(MLOPS_OIDC_EMAIL_DOMAIN)"
    assert not {"skip-jwt-bearer-tokens", "extra-jwt-issuers"} & said.keys()


@pytest.mark.parametrize("overlay", BEHIND_A_LOGIN)
def test_a_token_of_a_foreign_issuer_counts_for_the_named_subject_alone(overlay: str) -> None:
    said = arguments(overlay, "automation")
    assert said["extra-jwt-issuers"] == "$(MLOPS_AUTOMATION_ISSUER)=$(MLOPS_AUTOMATION_AUDIENCE)"
    # An issuer whom anybody may use signs subjects that end with any domain.
    assert "email-domain" not in said
    (volume,) = proxy(overlay, "automation")["volumes"]
    (item,) = volume["configMap"]["items"]
    (mount,) = proxy(overlay, "automation")["containers"][0]["volumeMounts"]
    assert said["authenticated-emails-file"] == f"{mount['mountPath']}/{item['path']}"
    assert settings_of(overlay)[item["key"]].endswith(f":environment:{overlay}")


@pytest.mark.parametrize("overlay", BEHIND_A_LOGIN)
def test_only_questions_with_a_token_to_dagsters_graphql_go_that_way(overlay: str) -> None:
    (route,) = (
        content
        for content in render(overlay)
        if (content["kind"], content["metadata"]["name"]) == ("HTTPRoute", "dagster")
    )
    by_proxy: dict[str, Any] = {
        rule["backendRefs"][0]["name"]: rule.get("matches") for rule in route["spec"]["rules"]
    }
    assert by_proxy["oidc-proxy-dagster"] is None
    (match,) = by_proxy["oidc-proxy-automation"]
    assert match["path"] == {"type": "Exact", "value": "/graphql"}
    assert [header["name"] for header in match["headers"]] == ["authorization"]
