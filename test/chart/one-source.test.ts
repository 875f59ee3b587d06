import { copyFileSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { describeWith, helmPart } from '../parts.ts';
import { caseFile, mustTemplate, objectsOf } from './chart.ts';

const root = resolve(import.meta.dirname, '../..');
const textOf = (path: string): string => readFileSync(resolve(root, path), 'utf8');

/** Files of the chart, which can hold none from outside its folder, and what they are copies of. */
const copies = {
  'files/alerts.yaml': 'deploy/prometheus/alerts.yaml',
  'files/dashboards/investigate.json': 'deploy/grafana/investigate.json',
  'files/dashboards/observe.json': 'deploy/grafana/observe.json',
  'files/dashboards/operators.json': 'deploy/grafana/operators.json',
  'files/dashboards/security.json': 'deploy/grafana/security.json',
  'files/inject/admission-policy.yaml': 'deploy/inject/admission-policy.yaml',
  'files/inject/guard.yaml': 'deploy/inject/guard.yaml',
  'files/policies/base.cedarschema': 'cedar-policies/base.cedarschema',
};

describe('copies in the chart', () => {
  it.each(Object.entries(copies))('`%s` is `%s`', (copy, source) => {
    const at = `deploy/chart/${copy}`;
    // `UPDATE_GOLDEN=1 npm run jest -- test/chart` copies them again.
    if (process.env['UPDATE_GOLDEN'] === '1') copyFileSync(resolve(root, source), resolve(root, at));
    expect(textOf(at)).toBe(textOf(source));
  });
});

describeWith(helmPart(), 'what the chart has from elsewhere', ([helm]) => {
  const set = [
    'monitoring.prometheusRule.enabled=true',
    'monitoring.prometheusRule.runbookURL=https://books.test/',
    'monitoring.grafanaDashboard.enabled=true',
  ];
  const rendered = async () =>
    objectsOf(await mustTemplate(helm, ['--values', caseFile('monitored'), '--set', set.join(',')]));

  it('has the alerts of deploy/prometheus, with the run-books of the values', async () => {
    const rules = (await rendered()).filter(({ kind }) => kind === 'PrometheusRule');
    const alerts = textOf('deploy/prometheus/alerts.yaml').replaceAll(
      'https://runbooks.acme.test/remit/',
      'https://books.test/',
    );
    expect(rules).toHaveLength(1);
    expect(rules[0]?.spec).toEqual(parse(alerts));
  });

  it('has the dashboards of deploy/grafana, with the label that Grafana looks for', async () => {
    const objects = await rendered();
    for (const name of ['investigate', 'observe', 'operators', 'security']) {
      const found = objects.find(({ metadata }) => metadata.name === `remit-dashboard-${name}`);
      expect(found?.metadata.labels).toMatchObject({ grafana_dashboard: '1' });
      const json = found?.data?.[`remit-${name}.json`] ?? '';
      expect(JSON.parse(json)).toEqual(JSON.parse(textOf(`deploy/grafana/${name}.json`)));
    }
  });

  it('has the schema of cedar-policies beside policies that permit nothing', async () => {
    const objects = objectsOf(await mustTemplate(helm));
    const policies = objects.find(({ metadata }) => metadata.name === 'remit-policies');
    expect(policies?.data?.['base.cedarschema']).toBe(textOf('cedar-policies/base.cedarschema'));
    expect(Object.keys(policies?.data ?? {})).toEqual(['actions.yaml', 'base.cedarschema', 'nothing.cedar']);
  });

  it('has the version of package.json', async () => {
    const { version } = JSON.parse(textOf('package.json')) as { readonly version: string };
    const rendered = await mustTemplate(helm);
    expect(rendered).toContain(`image: "ghcr.io/remit-dev/remit:${version}"`);
  });
});
