import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { parse, stringify } from 'yaml';
import { testFolders } from '../../builders/test-folders.ts';
import { diagnosed } from './diagnosed.ts';

const shipped = resolve(import.meta.dirname, '../../../deploy/hosts/istio');
const mesh = parse(readFileSync(join(shipped, 'mesh.yaml'), 'utf8'));
const folder = testFolders();

const chart = (helm: object): object => ({
  repoURL: 'https://istio-release.storage.googleapis.com/charts',
  chart: 'istiod',
  helm,
});
const application = (spec: object, kind = 'Application', name = 'istiod'): string =>
  stringify({ apiVersion: 'argoproj.io/v1alpha1', kind, metadata: { name, namespace: 'argocd' }, spec });

/** What is found in the shipped files for Istio whose mesh configuration is in an Application instead. */
async function diagnosedWith(text: string): Promise<{ codes: readonly string[]; examined: readonly string[] }> {
  const copy = folder();
  cpSync(shipped, copy, { recursive: true });
  rmSync(join(copy, 'mesh.yaml'));
  writeFileSync(join(copy, 'app.yaml'), text);
  const { findings, report } = await diagnosed(['-f', copy, '--json']);
  const found = findings.filter(({ level }) => level !== 'info').map(({ code }) => code);
  expect(report.not_examined).toEqual([]);
  return { codes: [...new Set(found)], examined: report.examined.map((line) => line.replaceAll(`${copy}/`, '')) };
}

const [provider, outcomes] = mesh.extensionProviders;
const open = {
  meshConfig: {
    ...mesh,
    extensionProviders: [
      { ...provider, envoyExtAuthzGrpc: { ...provider.envoyExtAuthzGrpc, failOpen: true } },
      outcomes,
    ],
  },
};
const right = { meshConfig: mesh };
const FAIL_OPEN = 'meshConfig.extensionProviders[0].envoyExtAuthzGrpc.failOpen';

describe('remit doctor -f of Applications of Argo CD', () => {
  it.each<[what: string, text: string, codes: readonly string[]]>([
    ['values as text', application({ source: chart({ values: stringify(open) }) }), ['istio.fails-open']],
    ['values as an object', application({ source: chart({ valuesObject: open }) }), ['istio.fails-open']],
    [
      'an object of values, which counts before the text',
      application({ source: chart({ values: stringify(open), valuesObject: right }) }),
      [],
    ],
    [
      'a parameter over the values',
      application({ source: chart({ valuesObject: right, parameters: [{ name: FAIL_OPEN, value: 'true' }] }) }),
      ['istio.fails-open'],
    ],
    [
      'a parameter that takes a fault back',
      application({ source: chart({ valuesObject: open, parameters: [{ name: FAIL_OPEN, value: 'false' }] }) }),
      [],
    ],
    [
      'a parameter with points in a key, and a list',
      application({
        source: chart({
          valuesObject: right,
          parameters: [
            { name: String.raw`sidecarInjectorWebhook.injectedAnnotations.traffic\.sidecar\.istio\.io/x`, value: 'y' },
            { name: 'sidecarInjectorWebhook.defaultTemplates', value: '{sidecar,other}' },
          ],
        }),
      }),
      ['istio.past-sidecar'],
    ],
    [
      'a port as a text',
      application({
        source: chart({
          valuesObject: right,
          parameters: [{ name: 'global.proxy.excludeInboundPorts', value: '8080', forceString: true }],
        }),
      }),
      ['istio.past-sidecar'],
    ],
    [
      'one of several sources',
      application({ source: chart({ valuesObject: right }), sources: [{ path: 'x' }, chart({ valuesObject: open })] }),
      ['istio.fails-open'],
    ],
    [
      'a set of Applications',
      application({ template: { spec: { source: chart({ valuesObject: open }) } } }, 'ApplicationSet'),
      ['istio.fails-open'],
    ],
  ])('reads %s', async (_what, text, codes) => {
    expect((await diagnosedWith(text)).codes).toEqual(codes);
  });

  it.each<[what: string, helm: object, beside: string]>([
    ['the chart', { valuesObject: right }, ''],
    ['files of values', { valuesObject: right, valueFiles: ['$values/a.yaml'] }, ', nor `valueFiles`'],
    ['parameters from files', { valuesObject: right, fileParameters: [{ name: 'a' }] }, ', nor `fileParameters`'],
    ['values that are not YAML', { values: 'a: [' }, ', nor `values`, which are not YAML'],
    [
      'a parameter whose name is none',
      { valuesObject: right, parameters: [{ name: 'a[', value: '1' }] },
      ', nor the parameter `a[`',
    ],
  ])('names %s, which it did not read', async (_what, helm, beside) => {
    const { examined } = await diagnosedWith(application({ source: chart(helm) }));
    expect(examined.slice(1)).toEqual([
      `app.yaml: Application istiod by its inline values, not what its chart renders${beside}: save the output of \`argocd app manifests istiod\`, and name that file with -f too`,
    ]);
  });

  it('names five Applications and counts the others, and none without a chart', async () => {
    const all = Array.from({ length: 7 }, (_, index) =>
      application({ source: chart({ valuesObject: right }) }, 'Application', `app-${index}`),
    );
    const { examined } = await diagnosedWith([...all, application({ source: { path: 'manifests' } })].join('---\n'));
    expect(examined).toHaveLength(7);
    expect(examined.at(-1)).toBe('2 more Applications of Argo CD in the same way');
  });

  it('takes no member of all objects for a value', async () => {
    const parameters = ['__proto__.polluted', 'constructor.prototype.polluted'].map((name) => ({
      name,
      value: 'true',
    }));
    const { codes } = await diagnosedWith(application({ source: chart({ valuesObject: right, parameters }) }));
    expect([codes, Object.hasOwn(Object.prototype, 'polluted')]).toEqual([[], false]);
  });
});
