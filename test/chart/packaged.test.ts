import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import { writeChart } from '../../.ci/release/tree.ts';
import { describeWith, helmPart } from '../parts.ts';
import { KUBERNETES_VERSION } from '../parts/cache.ts';
import { caseFile, chartFolder, mustTemplate, ran } from './chart.ts';

/** The files below a folder with their text. */
const filesIn = (folder: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name, parentPath }) => {
        const file = join(parentPath, name);
        return [file.slice(folder.length), readFileSync(file, 'utf8')];
      }),
  );

describeWith(helmPart(), 'the chart of a release', ([helm4, helm3]) => {
  const folder = mkdtempSync(join(tmpdir(), 'remit-packaged-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const released = join(folder, 'released/remit');

  it('has the files that `helm package` takes, but Chart.yaml in its own words', async () => {
    writeChart(resolve(import.meta.dirname, '../..'), released);
    expect(await ran(helm4, ['package', chartFolder, '--destination', folder])).toMatchObject({ code: 0 });
    const archive = readdirSync(folder).find((name) => name.endsWith('.tgz')) ?? '';
    expect(await ran('tar', ['-xzf', join(folder, archive), '-C', folder])).toMatchObject({ code: 0 });
    const own = { '/Chart.yaml': expect.any(String) };
    expect({ ...filesIn(released), ...own }).toEqual({ ...filesIn(join(folder, 'remit')), ...own });
  });

  it.each([
    ['Helm 4', helm4],
    ['Helm 3', helm3],
  ])('renders as the folder does, by %s', async (_version, helm) => {
    const args = ['--namespace', 'remit', '--kube-version', KUBERNETES_VERSION, '--values', caseFile('postgres')];
    const { code, stdout } = await ran(helm, ['template', 'remit', released, ...args]);
    expect(code).toBe(0);
    expect(stdout).toBe(await mustTemplate(helm, ['--values', caseFile('postgres')]));
  });
});
