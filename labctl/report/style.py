"""How the page looks: one style sheet, light and dark as the reader's system is."""

from __future__ import annotations

__all__ = ["STYLE"]

STYLE = """
:root {
  color-scheme: light dark; --bg:#fbfbfa; --card:#fff; --fg:#1c1e21; --muted:#6a6f76; --line:#e3e5e8;
  --lane:#f3f4f6; --off:#8b93a033; --quiet:#9aa1aa;
  --ok:#16803c; --bad:#d1242f; --warn:#b26a00; --flight:#e09f1f;
  --link:#2457c5;
}
@media (prefers-color-scheme: dark) {
  :root {
    --bg:#121417; --card:#1a1d21; --fg:#e7e9ec; --muted:#9aa1aa; --line:#2c3137; --lane:#20242a;
    --off:#aab4c42b; --quiet:#6a717a;
    --ok:#4cc27a; --bad:#ff6b6b; --warn:#e3a73f; --flight:#f0b440; --link:#86a8ff;
  }
}
* { box-sizing:border-box }
body {
  margin:0; background:var(--bg); color:var(--fg);
  font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;
}
main { max-width:1340px; margin:0 auto; padding:28px 20px 60px }
header { display:flex; gap:18px; align-items:center; flex-wrap:wrap; margin-bottom:6px }
h1 { font-size:24px; margin:0; font-weight:650 }
h2 { font-size:16px; margin:34px 0 10px; font-weight:650 }
.verdict {
  font-weight:750; letter-spacing:.04em; padding:6px 14px; border-radius:8px; color:#fff;
  font-size:18px;
}
.PASS { background:var(--ok) }
.FAIL,.ERROR { background:var(--bad) }
.INCONCLUSIVE,.INTERRUPTED { background:var(--warn) }
.verdict.plain { background:none; color:var(--muted); border:1.5px solid var(--muted) }
@media (prefers-color-scheme: dark) {
  .verdict { color:#101214 }
}
.meta,.muted,figcaption { color:var(--muted); fill:var(--muted) }
.lead { font-size:17px; margin:10px 0 2px }
.unjudged { color:var(--muted); margin:4px 0 }
.first { display:grid; grid-template-columns:1fr; gap:0 18px }
.first section { min-width:0 }
@media (min-width:1000px) {
  .first { grid-template-columns:1fr 1fr }
}
svg.lab { max-width:100%; height:auto; display:block; margin:0 auto; border-radius:6px }
.narrow { display:none }
ul.reasons { margin:8px 0; padding-left:20px }
ul.reasons li { margin:3px 0 }
.tiles {
  display:grid; grid-template-columns:repeat(auto-fit,minmax(165px,1fr)); gap:12px; margin:20px 0 4px;
}
.tile { background:var(--card); border:1px solid var(--line); border-radius:10px; padding:12px 14px }
.tile b {
  display:block; font-size:23px; font-weight:650; font-variant-numeric:tabular-nums;
  white-space:nowrap;
}
.tile span { color:var(--muted); font-size:13px }
.tile small { color:var(--muted); font-size:14px; font-weight:400 }
.card {
  background:var(--card); border:1px solid var(--line); border-radius:10px; padding:14px;
  overflow-x:auto;
}
.zooms { display:grid; grid-template-columns:repeat(auto-fit,minmax(400px,1fr)); gap:12px }
figure {
  margin:0; background:var(--card); border:1px solid var(--line); border-radius:10px; padding:12px;
}
.zooms figure { max-width:660px }
figcaption { margin-bottom:4px; font-size:14px }
figcaption b { color:var(--fg) }
table { border-collapse:collapse; width:100%; font-size:14px; font-variant-numeric:tabular-nums }
th {
  text-align:right; font-weight:500; color:var(--muted); border-bottom:1px solid var(--line);
  padding:4px 8px; vertical-align:bottom;
}
td { text-align:right; padding:5px 8px; border-bottom:1px solid var(--line) }
td.figure,.figure { white-space:nowrap }
tr:last-child td { border-bottom:0 }
th:first-child,td:first-child { text-align:left; padding-left:2px }
td.left,th.left { text-align:left; white-space:normal }
.bad { color:var(--bad); fill:var(--bad); font-weight:600 }
.warn { color:var(--warn); fill:var(--warn) }
.good { color:var(--ok); font-weight:600 }
details { margin:10px 0 }
summary { cursor:pointer; color:var(--link) }
pre {
  background:var(--lane); padding:12px; border-radius:8px; overflow-x:auto;
  font:13px/1.45 ui-monospace,Menlo,Consolas,monospace; margin:8px 0;
}
svg.plot { width:100%; height:auto; display:block }
svg text {
  font:12px system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif; fill:var(--fg);
  white-space:pre;
}
svg .name { font-weight:650 }
svg .tick,svg .muted { fill:var(--muted) }
svg .bad { fill:var(--bad) }
svg .grid { stroke:var(--line); stroke-width:1 }
svg .lane { fill:var(--lane); opacity:.75 }
svg .off { fill:var(--off) }
svg .flight { fill:var(--flight) }
svg .lost { fill:var(--bad) }
svg .quiet { fill:var(--quiet) }
svg .period { stroke-width:3 }
svg .period.flight { stroke:var(--flight) }
svg .period.lost { stroke:var(--bad) }
svg .period.quiet { stroke:var(--quiet) }
svg .excused { fill:var(--flight) }
svg .action { stroke-width:1.5 }
svg .cut.action { stroke:var(--fg) }
svg .back.action { stroke:var(--ok); stroke-dasharray:4 3 }
svg .label { font-weight:600 }
svg .back.label { fill:var(--ok) }
.key { display:flex; gap:18px; flex-wrap:wrap; color:var(--muted); font-size:13px; margin:8px 2px 0 }
.key i {
  display:inline-block; width:11px; height:11px; border-radius:2px; margin-right:6px;
  vertical-align:-1px;
}
dl { display:grid; grid-template-columns:max-content 1fr; gap:3px 18px; margin:8px 0; font-size:14px }
dt { color:var(--muted) }
dd { margin:0; overflow-wrap:anywhere }
@media (max-width:640px) {
  main { padding:16px 12px 40px }
  .card { padding:10px; overflow-x:visible }
  .wide { display:none }
  .narrow { display:block }
  .zooms { grid-template-columns:1fr }
  .tiles { grid-template-columns:1fr 1fr }
  .tile { padding:10px }
  .tile b { font-size:19px; white-space:normal }
  code,pre { white-space:pre-wrap; overflow-wrap:anywhere }
  table.stack thead { display:none }
  table.stack,table.stack tbody,table.stack tr { display:block }
  table.stack tr { border-bottom:1px solid var(--line); padding:6px 0 }
  table.stack td,table.stack td:first-child {
    display:flex; justify-content:space-between; gap:14px; border:0; padding:2px 0; text-align:right;
    overflow-wrap:anywhere; white-space:normal;
  }
  table.stack td:first-child { font-weight:650; text-align:left }
  table.stack td[data-head]::before { content:attr(data-head); color:var(--muted); text-align:left }
  table.stack td.left { display:block; text-align:left }
  table.stack td.left::before { margin-right:10px }
  table.stack td:empty { display:none }
  dl { grid-template-columns:1fr }
}
@media print {
  .card,figure,.tile { break-inside:avoid }
}
"""
