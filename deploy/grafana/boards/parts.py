"""What panels and dashboards have in common: sizes, units, colours, where data comes from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

PROMETHEUS: Final = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")
PAGES: Final = "https://example.com/detector/docs"
GREEN, YELLOW, RED, GREY, BLUE = "green", "orange", "red", "text", "blue"
HEIGHT, LOW = 8, 4

Panel = stat.Panel | statetimeline.Panel | table.Panel | timeseries.Panel
P = TypeVar("P", stat.Panel, statetimeline.Panel, table.Panel, timeseries.Panel)
Steps = Sequence[tuple[float | None, str]]
PLAIN: Final[Steps] = ((None, BLUE),)


@dataclass(frozen=True, slots=True)
class Ask:
    """A query of a panel, and what its series are called."""

    expr: str
    legend: str = ""


def of(metric: str, *matchers: str) -> str:
    """The series of a metric of this installation."""
    chosen = ", ".join(('job="$job"', *matchers))
    return f"{metric}{{{chosen}}}"


def grew(metric: str, by: str, *matchers: str, over: str = "$__rate_interval") -> str:
    """How much a counter grew, of series that begin as well: `increase` does not see how one begins."""
    series = of(metric, *matchers)
    return f"sum by ({by}) (increase({series}[{over}]) or ({series} unless {series} offset {over}))"


def or_none(expr: str, label: str) -> str:
    """A zero of the name `none` where there is nothing to sum."""
    return f'{expr} or label_replace(vector(0), "{label}", "none", "", "")'


def quantiles(metric: str, by: str = "") -> tuple[Ask, ...]:
    """The median and the 99th percentile of a histogram."""
    groups = f"le, {by}" if by else "le"
    buckets = f"sum by ({groups}) (rate({of(metric + '_bucket')}[$__rate_interval]))"
    named = f"{{{{{by}}}}} " if by else ""
    return tuple(Ask(f"histogram_quantile({q}, {buckets})", f"{named}{q * 100:g} %") for q in (0.5, 0.99))


# ---------------------------------------------------------------- panels


def number(title: str, about: str, *asks: Ask, unit: str = "short", steps: Steps = PLAIN, **more: Any) -> Panel:
    """One number, or a few, as they are now. `words` stand for numbers, with a colour each."""
    panel = _panel(stat.Panel(), title, about, asks, unit, LOW, more.get("span", 4), instant=True)
    panel = panel.thresholds(_thresholds(steps)).graph_mode(common.BigValueGraphMode.NONE)
    panel = panel.color_mode(common.BigValueColorMode.VALUE).reduce_options(
        common_builders.ReduceDataOptions().calcs(["lastNotNull"])
    )
    if any(ask.legend for ask in asks):
        panel = panel.text_mode(common.BigValueTextMode.VALUE_AND_NAME)
    panel = panel.decimals(0) if unit == "short" else panel
    return panel.mappings(_words(more["words"])) if "words" in more else panel


def lines(title: str, about: str, *asks: Ask, unit: str = "short", steps: Steps = (), **more: Any) -> timeseries.Panel:
    """How it was: lines, or with `bars` stacked bars. `steps` draws limits."""
    panel = _panel(timeseries.Panel(), title, about, asks, unit, HEIGHT, more.get("span", 12))
    panel = panel.axis_soft_min(0).legend(
        common_builders.VizLegendOptions()
        .display_mode(common.LegendDisplayMode.LIST)
        .placement(common.LegendPlacement.BOTTOM)
        .show_legend(True)
    )
    panel = panel.tooltip(common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
    if more.get("bars"):
        panel = (
            panel.decimals(0)
            .draw_style(common.GraphDrawStyle.BARS)
            .fill_opacity(60)
            .stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL))
        )
    if steps:
        style = common_builders.GraphThresholdsStyleConfig().mode(common.GraphTresholdsStyleMode.DASHED)
        panel = panel.thresholds(_thresholds(steps)).thresholds_style(style)
    return panel


def band(title: str, about: str, metric: str, unit: str) -> Panel:
    """What a run came to, in the band of what was expected of it."""
    asks = [
        Ask("max(" + of(metric, 'entity="$entity"', f'value="{value}"') + ")", value)
        for value in ("upper", "lower", "expected", "observed")
    ]
    panel = lines(title, about, *asks, unit=unit)
    panel = panel.line_interpolation(common.LineInterpolation.STEP_AFTER).no_value("Not measured yet")
    edge = [_property("custom.lineWidth", 0), _property("color", {"mode": "fixed", "fixedColor": GREEN})]
    filled = [_property("custom.fillBelowTo", "lower"), _property("custom.fillOpacity", 15)]
    dashed = {"fill": "dash", "dash": [6, 6]}
    return (
        panel.override_by_name("upper", edge + filled)
        .override_by_name("lower", edge)
        .override_by_name("expected", [_property("custom.lineStyle", dashed), _property("color", _fixed(GREEN))])
        .override_by_name("observed", [_property("custom.lineWidth", 2), _property("color", _fixed(BLUE))])
    )


def timeline(title: str, about: str, *asks: Ask, words: Mapping[int, tuple[str, str]], span: int = 12) -> Panel:
    """Which state it was in, when."""
    panel = _panel(statetimeline.Panel(), title, about, asks, "short", HEIGHT, span)
    return (
        panel.mappings(_words(words))
        .thresholds(_thresholds(((None, GREY),)))
        .merge_values(True)
        .line_width(0)
        .fill_opacity(70)
    )


def listed(title: str, about: str, ask: Ask, *, empty: str, link: str, span: int = 12) -> Panel:
    """A table of series, a row each. `empty` is what it says when there is none; `link` leads on from an entity."""
    panel = _panel(table.Panel(), title, about, (ask,), "short", HEIGHT, span, instant=True, rows=True)
    columns = {"excludeByName": {"Time": True, "Value": True}}
    to = {"title": "More on ${__value.text}", "url": link}
    return (
        panel.no_value(empty)
        .show_header(True)
        .with_transformation(dashboard.DataTransformerConfig(id_val="organize", options=columns))
        .override_by_name("entity", [_property("links", [to])])
    )


def _panel(panel: P, title: str, about: str, asks: Sequence[Ask], unit: str, high: int, span: int, **how: bool) -> P:
    panel = panel.title(title).description(about).datasource(PROMETHEUS).unit(unit).height(high).span(span)
    for number, ask in enumerate(asks):
        query = prometheus.Dataquery().expr(ask.expr).legend_format(ask.legend).ref_id(chr(ord("A") + number))
        query = query.instant() if how.get("instant") else query.range()
        panel = panel.with_target(query.format(PromQueryFormat.TABLE) if how.get("rows") else query)
    return panel


def _thresholds(steps: Steps) -> builders.ThresholdsConfig:
    made = [dashboard.Threshold(value=value, color=color) for value, color in steps]
    return builders.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(made)


def _words(words: Mapping[int, tuple[str, str]]) -> list[dashboard.ValueMapping]:
    results = {
        str(value): dashboard.ValueMappingResult(text=text, color=color, index=at)
        for at, (value, (text, color)) in enumerate(words.items())
    }
    return [dashboard.ValueMap(options=results)]


def _property(name: str, value: object) -> dashboard.DynamicConfigValue:
    return dashboard.DynamicConfigValue(id_val=name, value=value)


def _fixed(color: str) -> dict[str, str]:
    return {"mode": "fixed", "fixedColor": color}


# ---------------------------------------------------------------- dashboards


def begun(uid: str, title: str, about: str, page: str) -> builders.Dashboard:
    """A dashboard without panels: of one installation of several, that a Prometheus may scrape."""
    jobs = "label_values(detector_build_info, job)"
    return (
        builders.Dashboard(title)
        .uid(uid)
        .description(about)
        .tags(["detector"])
        .readonly()
        .refresh("30s")
        .time("now-6h", "now")
        .timezone("browser")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .with_variable(builders.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(choice("job", "Installation", jobs))
        .link(
            builders.DashboardLink("Detector")
            .type(dashboard.DashboardLinkType.DASHBOARDS)
            .tags(["detector"])
            .include_vars(True)
            .keep_time(True)
            .as_dropdown(True)
        )
        .link(
            builders.DashboardLink("What to do")
            .type(dashboard.DashboardLinkType.LINK)
            .icon("doc")
            .url(f"{PAGES}/{page}")
            .tooltip("The runbook")
            .target_blank(True)
        )
    )


def choice(name: str, label: str, query: str) -> builders.QueryVariable:
    """A variable whose values are those of a label."""
    return (
        builders.QueryVariable(name)
        .label(label)
        .datasource(PROMETHEUS)
        .query({"query": query, "refId": "A", "qryType": 1})
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
    )


def marks(name: str, expr: str, color: str) -> builders.AnnotationQuery:
    """Marks in all panels, at the times when an expression gives something."""
    return builders.AnnotationQuery().name(name).datasource(PROMETHEUS).enable(True).icon_color(color).expr(expr)
