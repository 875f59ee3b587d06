import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { manifestIn } from '../../.ci/release/manifest.ts';
import { remitVersion } from '../../src/core/config/version.ts';
import { root } from './sources.ts';

const { version } = manifestIn(root);
const read = (file: string): string => readFileSync(join(root, file), 'utf8');

describe('the version', () => {
  it('of the program, in spans, metrics and `--version`, is that of package.json', () => {
    expect(remitVersion().split('+')[0]).toBe(version);
  });

  it('of the lock file is that of package.json', () => {
    const lock = JSON.parse(read('package-lock.json'));
    expect([lock.version, lock.packages[''].version]).toEqual([version, version]);
  });

  it('of the chart, of what it installs and of the image it names is that of package.json', () => {
    const chart = parse(read('deploy/chart/Chart.yaml'));
    expect([chart.version, chart.appVersion]).toEqual([version, version]);
    expect(chart.annotations['artifacthub.io/images']).toContain(`ghcr.io/remit-dev/remit:${version}\n`);
  });

  it('is in no other source, and the pages name files of this version', () => {
    const tracked = execFileSync(
      'git',
      ['ls-files', '--cached', '--others', '--exclude-standard', 'src', 'deploy', 'proto', '.ci', 'README.md'],
      {
        cwd: root,
        encoding: 'utf8',
      },
    );
    // The chart's own tests install other versions on purpose.
    const files = tracked.split('\n').filter((file) => file !== '' && !file.startsWith('deploy/chart/tests/'));
    const named = files.flatMap((file) =>
      [...read(file).matchAll(/\bremit[-:@](\d+\.\d+\.\d+)/g)].map(([, named]) => `${file}: ${named}`),
    );
    expect(named.filter((one) => !one.endsWith(`: ${version}`))).toEqual([]);
    expect(named.length).toBeGreaterThan(2);
    const code = files.filter((file) => /^(?:src|\.ci)\//.test(file));
    expect(code.filter((file) => read(file).includes(`'${version}'`))).toEqual([]);
  });

  it('has sections in CHANGELOG.md, newest first, with their dates', () => {
    const titles = [...read('CHANGELOG.md').matchAll(/^## (.*)$/gm)].map(([, title]) => title ?? '');
    expect(titles.filter((title) => !/^(?:Unreleased|\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d)$/.test(title))).toEqual([]);
    const dates = titles.flatMap((title) => / - (.*)$/.exec(title)?.[1] ?? []);
    expect(dates).toEqual(dates.toSorted().toReversed());
    expect(titles.slice(1)).not.toContain('Unreleased');
  });
});
