import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { describeWith, helmPart } from '../parts.ts';
import { caseFile, cases, chartFolder, mustTemplate, ran } from './chart.ts';

const page = readFileSync(resolve(import.meta.dirname, '../../deploy/guide/install/kubernetes.md'), 'utf8');

/** The `helm install` and `helm upgrade` commands of the page, as the values that they set. */
const commands = [...page.matchAll(/^\$ helm (?:install|upgrade) (.*)$/gm)].map(([, rest = '']) => ({
  args: [...rest.matchAll(/(?<=--set )(?:'([^']*)'|(\S+))/g)].flatMap(([, a, b]) => ['--set', a ?? b ?? '']),
  file: rest.includes('-f values.yaml') ? (/```yaml\n# values.yaml\n([^]*?)```/.exec(page)?.[1] ?? '') : '{}',
}));

describeWith(helmPart(), 'deploy/guide/install/kubernetes.md', ([helm]) => {
  it('begins with four commands', () => {
    const [first = ''] = page.match(/```console\n[^]*?```/) ?? [];
    expect(first.match(/^\$ /gm)).toHaveLength(4);
  });

  it('lists for a mirror the only image that objects of the chart run', async () => {
    const [, listed] = /^\| `([^`]+)` \| every pod:/m.exec(page) ?? [];
    for (const name of cases) {
      const own = ['--set', 'image.registry=ghcr.io,image.digest='];
      const rendered = await mustTemplate(helm, ['--values', caseFile(name), ...own]);
      const images = [...rendered.matchAll(/\bimage: "?([^"\s,}]+)/g)].map(([, image]) => image);
      expect([name, new Set(images)]).toEqual([name, new Set([listed])]);
    }
  });

  it.each(commands)('sets values that the chart takes: $args', async ({ args, file }) => {
    const set = ['template', 'remit', chartFolder, '--namespace', 'remit', ...args];
    const values = Object.entries(parse(file) as Record<string, unknown>);
    const json = values.flatMap(([key, value]) => ['--set-json', `${key}=${JSON.stringify(value)}`]);
    expect(await ran(helm, [...set, ...json])).toMatchObject({ code: 0 });
  });
});
