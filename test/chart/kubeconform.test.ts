import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { both, describeWith, helmPart, kubeconformPart, kubernetesApiPart } from '../parts.ts';
import { caseFile, cases, mustTemplate, ran } from './chart.ts';
import { customSchemas, kubernetesSchemas } from './kubernetes-schemas.ts';

/** Nothing has the definition of this kind. */
const SKIPPED = 'ClusterSPIFFEID';

describeWith(
  both(helmPart(), both(kubeconformPart(), kubernetesApiPart())),
  'what the chart renders is valid by the API of Kubernetes',
  ([[helm], [kubeconform, [kubernetes, operator]]]) => {
    const folder = mkdtempSync(join(tmpdir(), 'remit-schemas-'));
    beforeAll(() => {
      const swagger = JSON.parse(readFileSync(join(kubernetes, 'swagger.json'), 'utf8'));
      const definitions = readdirSync(operator)
        .filter((name) => name.endsWith('.yaml'))
        .map((name) => parse(readFileSync(join(operator, name), 'utf8')));
      for (const [file, schema] of [...kubernetesSchemas(swagger), ...definitions.flatMap(customSchemas)])
        writeFileSync(join(folder, file), JSON.stringify(schema));
    });
    afterAll(() => rmSync(folder, { recursive: true, force: true }));

    const checked = (manifests: string) => {
      const file = join(folder, 'manifests.yaml');
      writeFileSync(file, manifests);
      const location = join(folder, '{{ .ResourceKind }}{{ .KindSuffix }}.json');
      return ran(kubeconform, ['-strict', '-summary', '-skip', SKIPPED, '-schema-location', location, file]);
    };

    const all = ['--set', 'monitoring.prometheusRule.enabled=true,monitoring.grafanaDashboard.enabled=true'];

    it.each(cases)('with the values `%s`', async (name) => {
      const result = await checked(await mustTemplate(helm, ['--values', caseFile(name), ...all]));
      expect(result.stdout).toMatch(/Valid: [1-9]\d*, Invalid: 0, Errors: 0/);
      expect(result.code).toBe(0);
    });

    it.each([
      ['a field that is none', 'replicas: 1', 'replica: 1', /additional properties 'replica'|'replica' not allowed/],
      ['a wrong interval', 'interval: 30s', 'interval: [30s]', /interval.*want string/],
      ['a wrong type', 'automountServiceAccountToken: false', 'automountServiceAccountToken: never', /want boolean/],
    ])('and %s is found', async (_name, right, wrong, says) => {
      const rendered = await mustTemplate(helm, ['--values', caseFile('monitored')]);
      expect(rendered).toContain(right);
      const result = await checked(rendered.replace(right, wrong));
      expect(result.stdout).toMatch(says);
      expect(result.code).toBe(1);
    });
  },
);
