import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { reasons } from '../../src/core/decision/reasons.ts';
import { ARGUMENT_PREFIX } from '../../src/core/telemetry/spans/argument-attributes.ts';
import { metricTable } from '../../src/core/telemetry/metrics/metric-table.ts';
import { alertRules, dashboardQueries, dashboards, tagsIn, traceSearches } from './dashboards.ts';

const deploy = resolve(import.meta.dirname, '../../deploy');
/** Where the attributes of spans are named. */
const spanSource = [
  'core/telemetry/spans/check-attributes.ts',
  'core/telemetry/spans/argument-attributes.ts',
  'authority/issuer/token/issue.ts',
]
  .map((file) => readFileSync(resolve(deploy, '../src', file), 'utf8'))
  .join('\n');
const runbooks = resolve(deploy, 'guide/watch/runbooks');
const named = new Map<string, { readonly labels: Readonly<Record<string, readonly string[] | null>> }>(
  Object.values(metricTable).map((spec) => [spec.name, spec] as const),
);
/** Of Envoy, with the labels that are used; `test/e2e/agent-limit` looks for it in what Envoy says. */
const ofEnvoy = { name: 'envoy_http_local_rate_limit_rate_limited', labels: ['envoy_local_http_ratelimit_prefix'] };
const queries = [
  ...dashboardQueries,
  ...alertRules.map(({ alert, expr }) => ({ where: `alerts.yaml: ${alert}`, expression: expr })),
];
const metricsIn = (expression: string): readonly string[] =>
  [...expression.matchAll(/(?<!")\b(?:remit|process)_\w+/g)].map(([name]) =>
    name.replace(/_(?:bucket|sum|count)$/, ''),
  );

describe('the dashboards and alert rules', () => {
  it.each(queries.map(({ where, expression }) => [where, expression] as const))(
    'name only metrics and labels that exist: %s',
    (_where, expression) => {
      const metrics = metricsIn(expression);
      expect(metrics.filter((name) => !named.has(name))).toEqual([]);
      const labels = new Set([
        'job',
        'instance',
        'le',
        ...metrics.flatMap((n) => Object.keys(named.get(n)?.labels ?? {})),
        ...(expression.includes(ofEnvoy.name) ? ofEnvoy.labels : []),
      ]);
      const used = [
        ...[...expression.matchAll(/(\w+)(?:=~|!=|!~|=)"/g)].map((match) => match[1] ?? ''),
        ...[...expression.matchAll(/by \(([^)]*)\)/g)].flatMap((match) => (match[1] ?? '').split(', ')),
      ];
      expect(used.filter((label) => !labels.has(label))).toEqual([]);
    },
  );

  it('name only reasons of the table', () => {
    const patterns = queries.flatMap(({ expression }) =>
      [...expression.matchAll(/reason=~?"([^"]+)"/g)].map((match) => match[1] ?? ''),
    );
    expect(patterns.length).toBeGreaterThan(0);
    for (const alternative of patterns.flatMap((pattern) => pattern.split(/\|(?![^(]*\))/))) {
      const matches = Object.keys(reasons).filter((code) => new RegExp(`^(?:${alternative})$`).test(code));
      expect([alternative, matches.length]).not.toEqual([alternative, 0]);
    }
  });

  it('show every metric, or alert on it', () => {
    const shown = new Set(queries.flatMap(({ expression }) => metricsIn(expression)));
    expect([...named.keys()].filter((name) => !shown.has(name))).toEqual(['process_start_time_seconds']);
  });

  it.each([...dashboards])('%s has each panel once, and none over another', (file, { panels, templating }) => {
    const ofTraces = ['jaeger', 'argument', 'value', 'task', 'agent'];
    const expected = file === 'investigate.json' ? ofTraces : ['datasource', 'job', 'instance'];
    expect(templating.list.map(({ name }) => name)).toEqual(expected);
    const taken = new Set<string>();
    for (const { gridPos, title } of panels) {
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect([title, taken.has(`${x},${y}`)]).toEqual([title, false]);
          taken.add(`${x},${y}`);
        }
      }
    }
  });

  it('lead to each other, so that an investigation can begin at any of them', () => {
    const all = [...dashboards.values()];
    expect(new Set(all.map(({ uid }) => uid)).size).toBe(all.length);
    for (const { tags, links } of all) {
      expect(tags).toContain('remit');
      expect(links).toEqual([expect.objectContaining({ type: 'dashboards', tags: ['remit'], keepTime: true })]);
    }
  });

  it.each(alertRules.map((rule) => [rule.alert, rule] as const))(
    '%s says what is wrong and what to do',
    (_name, rule) => {
      expect(rule.labels['severity']).toMatch(/^(?:critical|warning|info)$/);
      expect(Object.keys(rule.annotations)).toEqual(['summary', 'description', 'runbook_url']);
      const page = readFileSync(resolve(runbooks, `${rule.alert}.md`), 'utf8');
      expect(rule.annotations['runbook_url']).toMatch(new RegExp(`^https://.*/${rule.alert}\\.md$`));
      expect(page).toMatch(new RegExp(`^# ${rule.alert}\n[^]*What it means[^]*What it does[^]*What to do`));
      for (const [, link = ''] of page.matchAll(/\]\(([^)#]+)\)/g)) {
        expect([link, existsSync(resolve(runbooks, link))]).toEqual([link, true]);
      }
      for (const [page] of (rule.annotations['description'] ?? '').matchAll(/\bdeploy\/[\w/-]+\.md/g)) {
        expect(existsSync(resolve(deploy, '..', page))).toBe(true);
      }
    },
  );
});

describe('deploy/grafana/investigate.json', () => {
  it('searches by attributes that spans have, with variables that it has', () => {
    const values = { argument: 'id', value: 'p-77', task: 't-1', agent: 'spiffe://acme.test/planner' };
    expect([...traceSearches.keys()][0]).toBe('Calls with this argument');
    expect(traceSearches.size).toBe(6);
    for (const search of traceSearches.values()) {
      expect(search.service).toBe('remit');
      const tags = tagsIn(search, values);
      expect(Object.keys(tags).length).toBe(search.tags.split('" ').length);
      for (const [name, value] of Object.entries(tags)) {
        expect(spanSource).toContain(name.replace(/^(remit\.argument\.)id$/, "'$1'"));
        expect(value).not.toContain('$');
      }
    }
  });
});

describe('deploy/guide/watch/runbooks', () => {
  it('has a page for each alert and no other', () => {
    const names = readdirSync(runbooks).map((name) => name.replace(/\.md$/, ''));
    expect(names.toSorted()).toEqual(alertRules.map(({ alert }) => alert).toSorted());
  });
});

describe('deploy/jaeger/ui.json', () => {
  const ui: {
    readonly menu: readonly { readonly items: readonly { readonly label: string; readonly url: string }[] }[];
    readonly linkPatterns: readonly { readonly key: string; readonly url: string }[];
  } = JSON.parse(readFileSync(resolve(deploy, 'jaeger/ui.json'), 'utf8'));

  it('begins with a search by an argument, in its menu', () => {
    const [{ items } = { items: [] }] = ui.menu;
    const tags = items.map(({ url }) => JSON.parse(new URL(url, 'http://jaeger').searchParams.get('tags') ?? ''));
    expect(tags[0]).toEqual({ [`${ARGUMENT_PREFIX}id`]: 'p-77' });
    const names = tags.flatMap((search) => Object.keys(search)).filter((name) => !name.startsWith(ARGUMENT_PREFIX));
    expect(names.filter((name) => !spanSource.includes(`'${name}'`))).toEqual([]);
  });

  it('links by attributes that spans have', () => {
    for (const { key, url } of ui.linkPatterns) {
      expect(spanSource).toContain(`'${key}'`);
      expect(url).toContain(`#{${key}}`);
    }
  });

  it('searches for what the attribute says, with a query that is JSON', () => {
    const search = ui.linkPatterns.map(({ url }) => url).filter((url) => url.startsWith('/search'));
    expect(search.length).toBeGreaterThan(0);
    for (const url of search) {
      const filled = new URL(url.replaceAll(/#\{([\w.]+)\}/g, 'value'), 'http://jaeger');
      expect(Object.values(JSON.parse(filled.searchParams.get('tags') ?? ''))).toContain('value');
    }
  });
});
