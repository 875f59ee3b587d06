import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { pageCommands } from './page-commands.ts';

const root = resolve(import.meta.dirname, '../..');
const START = 'deploy/guide/start/quick-starts.md';
const page = readFileSync(join(root, START), 'utf8');

/** The ways of the table: where its commands are, and how many it says. */
const ways = [...page.matchAll(/^\| \[[^\]]+\]\(([^)]+)\) \| (\d+)(?: and \d+)? \|/gm)].map(([, to = '', count]) => ({
  to,
  count: Number(count),
}));

describe('quick-starts.md', () => {
  it('counts the commands of each way', () => {
    expect(ways.map(({ to }) => to)).toEqual([
      '#local',
      '../install/host.md',
      '#docker-compose',
      '#kubernetes',
      '#istio',
      '#envoy-gateway',
    ]);
    // Envoy Gateway begins with the commands of Kubernetes.
    const counted = ways.map(({ to }) => {
      if (to === '../install/host.md') return pageCommands('deploy/guide/install/host.md', 'The commands').length;
      const section = to === '#envoy-gateway' ? '#kubernetes' : to;
      return pageCommands(START, titleOf(section)).length;
    });
    expect(counted).toEqual(ways.map(({ count }) => count));
  });

  it('has the commands for Istio that are run in a real mesh, with the chart of a clone', () => {
    const inMesh = pageCommands('deploy/guide/install/hosts/istio.md', 'Install it');
    const fromClone = inMesh.map((command) => command.replace('oci://ghcr.io/remit-dev/charts/remit', 'deploy/chart'));
    expect(pageCommands(START, 'Istio')).toEqual(fromClone);
  });

  it('names a script of package.json for the local way', () => {
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    expect(pageCommands(START, 'Local')).toEqual(['npm run quickstart']);
    expect(scripts).toMatchObject({
      quickstart: 'npm ci --loglevel=error > /dev/null && npm run --silent demo',
      demo: 'node .ci/demo.js',
    });
  });
});

/** The heading that an anchor of the page is for. */
function titleOf(anchor: string): string {
  const titles = [...page.matchAll(/^## (.+)$/gm)].map(([, title = '']) => title);
  return titles.find((title) => `#${title.toLowerCase().replaceAll(' ', '-')}` === anchor) ?? '';
}
