'use strict';
const { execFileSync } = require('node:child_process');
const { join } = require('node:path');
const Sequencer = require('@jest/test-sequencer').default;

/**
 * Files that take longest, and their seconds alone on two idle cores. Jest orders files by their last duration, which a fresh clone does not
 * have: there, a file of minutes that comes last would run alone at the end.
 */
const SECONDS = new Map([
  ['e2e/emergency', 125],
  ['cluster/install', 120],
  ['fleet/matrix/sidecars', 100],
  ['fleet/matrix/signals', 90],
  ['e2e/processes', 105],
  ['fleet/matrix/records', 85],
  ['e2e/fleet', 80],
  ['fleet/matrix/withdrawals', 65],
  ['e2e/demo-fleet', 60],
  ['e2e/start-order', 60],
  ['agent/forward/run', 60],
  ['release/release', 55],
  ['fleet/matrix/herd', 55],
  ['fleet/matrix/primary', 50],
  ['clients/mcp', 50],
  ['hosts/schemas', 45],
  ['e2e/serve-check-roles', 45],
  ['e2e/fleet-postgres', 45],
  ['fleet/database-login', 45],
  ['fleet/matrix/ledgers', 45],
  ['hosts/envoy-gateway', 45],
  ['e2e/balanced-issuer', 40],
  ['core/ledger/log/faults', 35],
  ['e2e/restart', 35],
  ['spire/spire', 35],
  ['tools/inject/admission', 35],
  ['authority/state/postgres/postgres-state', 35],
  ['fleet/matrix/authorities', 35],
  ['simulation/simulation', 35],
  ['caller-costs/caller-costs', 30],
  ['fleet/matrix/told-loss', 30],
  ['simulation/mistakes', 30],
  ['e2e/agent-limit', 30],
  ['authority/state/postgres/received-records', 30],
  ['fleet/append', 30],
  ['chart/server', 30],
  // After `cluster/install`, which has built the image by then.
  ['image/image', 29],
]);

const secondsOf = ({ path }) => SECONDS.get(path.replace(/^.*\/test\//, '').replace(/\.test\.ts$/, '')) ?? 0;

/** The image that clusters run takes minutes to build: once, before the first file and not in the time of its hooks. */
function buildImage() {
  const program = join(__dirname, 'cluster/build-release.ts');
  execFileSync(process.execPath, ['--no-warnings', program], { stdio: ['ignore', 'inherit', 'inherit'] });
}

/** Long files come first, so that no worker waits for one at the end. */
module.exports = class LongFirst extends Sequencer {
  sort(tests) {
    if (process.env.REMIT_PARTS === 'all' && tests.some(({ path }) => path.includes('/test/cluster/'))) buildImage();
    return super.sort(tests).toSorted((a, b) => secondsOf(b) - secondsOf(a));
  }
};
