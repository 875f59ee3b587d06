import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { clusterProgramsFolder } from '../parts/cluster.ts';
import { both, describeWith, imagePart } from '../parts.ts';
import { until } from '../until.ts';
import { register } from './addons.ts';
import { configMap } from './addons/manifest.ts';
import { longClusterPart } from './cluster-part.ts';
import { startCluster } from './cluster.ts';
import type { Cluster } from './cluster.ts';
import { DEBUG_COMMANDS, DEBUG_WORDS } from './debug-commands.ts';
import { linesOf, startAgent, TOOLS } from './demo.ts';
import { hostilePodToRun, injectedPod } from './hostile-pods.ts';
import { HOSTILE } from './hostile-table.ts';
import { carefulDeployment, WORKLOADS, workloads } from './injected-workloads.ts';
import { prepare } from './installed.ts';
import { whatBecameOf } from './pod-outcomes.ts';
import { IMAGE } from './release.ts';
import { toolFiles } from './tool-pods.ts';

// The image is built once, images are pulled, and many pods are made.
jest.setTimeout(1_800_000);

const root = resolve(import.meta.dirname, '../..');
const CHART = join(root, 'deploy/chart');
const PAGE = readFileSync(join(root, 'deploy/guide/install/injection.md'), 'utf8');
/** Namespaces with the configuration of sidecars, in `BARE` without policy and guard, in `ALONE` with the guard alone. */
const [STRICT, BARE, ALONE] = ['strict', 'bare', 'alone'];
/** The same image under another name, as the next release has one. */
const NEXT = 'next';
/** What denials link to after an upgrade of the configuration of sidecars. */
const HELP = 'https://help.acme.test/next';
const CALLS = ['DELETE /items/7', 'GET /items/7'];
const ANSWERS = ['403', '200'];
/** Answers that no Remit gave. */
const UNDELIVERED = /^50[24] .*forward\./;
const TIMEOUT = '--timeout=600s';
const GUARD = "ValidatingAdmissionPolicy 'remit-guard'";

/** A row of a table of Markdown. */
const printRow = (...cells: readonly string[]): void => {
  process.stdout.write(`| ${cells.map((cell) => cell.replaceAll(/\s+/g, ' ').slice(0, 200)).join(' | ')} |\n`);
};

const namesOf = (list: readonly { readonly name: string }[]): string => list.map(({ name }) => name).join(', ');
const itemsOf = (name: string): string =>
  JSON.stringify({ apiVersion: 'v1', kind: 'List', items: carefulDeployment(name, BARE) });

// In this order: one installation, used and changed.
describeWith(both(longClusterPart(), imagePart()), 'injection into pods that run (issue 38, point 5)', ([parts]) => {
  const folder = mkdtempSync(join(tmpdir(), 'ri-'));
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startCluster(parts);
    await prepare(cluster, folder, { replicas: 0 });
    const own = [STRICT, BARE, ALONE];
    await cluster.apply(...own.map((name) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })));
    await register(
      cluster,
      own.map((one) => ({
        id: `spiffe://acme.test/ns/${one}/sa/default`,
        selectors: [`k8s:ns:${one}`, 'k8s:sa:default'],
      })),
    );
    await cluster.kubectl('create namespace remit');
    for (const one of ['remit', TOOLS.namespace, ...own])
      await cluster.kubectl(`-n ${one} create configmap remit-policies --from-file=${join(folder, 'policies')}`);
    await cluster.kubectl(`label namespace ${TOOLS.namespace} remit.dev/injection=enabled`);
    await cluster.kubectl(`label namespace ${STRICT} remit.dev/injection=required`);
    const values = [
      'identity.trustDomain=acme.test',
      `sidecar.namespaces={${[TOOLS.namespace, ...own].join()}}`,
      'sidecar.audiences={https://tools.acme.test}',
      'policies.existingConfigMap=remit-policies',
    ].flatMap((value) => ['--set', value]);
    await cluster.run(['helm', 'install', 'remit', CHART, '-n', 'remit', '--wait', ...values]);
    for (const one of own) await cluster.apply(...(await toolFiles(one)));
    await cluster.apply(...workloads());
  });
  afterAll(async () => {
    await cluster?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  let agents = 0;
  /** What an agent is told that makes a call which is denied, and one which is allowed. One that a slow machine kept from its pod is sent again. */
  const toldBy = async (name: string, namespace: string = TOOLS.namespace): Promise<readonly string[]> => {
    const environment = { CALLS: CALLS.join('\n') };
    for (let attempt = 0; ; attempt += 1) {
      const agent = `agent-${(agents += 1)}`;
      await startAgent(cluster, { name: agent, program: 'agent.mjs', environment, server: { name, namespace } });
      const lines = await linesOf(cluster, agent);
      if (attempt === 2 || !lines.some((line) => UNDELIVERED.test(line))) return lines;
      for (const line of lines) printRow('again', name, line);
    }
  };
  const answersOf = async (name: string, namespace?: string): Promise<readonly string[]> =>
    (await toldBy(name, namespace)).map((line) => line.slice(0, 3));
  const rolledOut = (workload: string, namespace: string = TOOLS.namespace): Promise<string> =>
    cluster.kubectl(`-n ${namespace} rollout status ${workload} ${TIMEOUT}`);
  const specOf = async (app: string, namespace: string = TOOLS.namespace) =>
    JSON.parse(await cluster.kubectl(`-n ${namespace} get pods -l app=${app} -o json`)).items[0]?.spec;
  const imageOf = async (app: string): Promise<unknown> => (await specOf(app))?.initContainers[0].image;
  const podOf = async (app: string): Promise<string> =>
    (
      await cluster.kubectl(`-n ${TOOLS.namespace} get pods -l app=${app} -o jsonpath={.items[0].metadata.name}`)
    ).trim();
  const created = (pod: object) =>
    cluster.tried(['kubectl', 'create', '--dry-run=server', '-f', '-'], { input: [pod] });

  it.each(Object.entries(WORKLOADS))('permits and denies in a pod of a %s', async (kind, name) => {
    if (/job/i.test(kind)) {
      await until(async () => (await specOf(name)) !== undefined, { what: `a pod of ${name}`, withinMs: 180_000 });
      await cluster.kubectl(`-n demo wait pod -l app=${name} --for=condition=Ready ${TIMEOUT}`);
    } else await rolledOut(`${kind}/${name}`);
    const { containers, initContainers } = await specOf(name);
    const [first] = initContainers;
    expect([first.name, first.image, first.restartPolicy]).toEqual(['remit', IMAGE, 'Always']);
    expect(await answersOf(name)).toEqual(ANSWERS);
    printRow(kind, namesOf(initContainers), namesOf(containers), ANSWERS.join(', '));
  });

  it.each([WORKLOADS.job, WORKLOADS.cronJob])('lets the Job of `%s` end, with all records of its pod', async (name) => {
    await cluster.kubectl(`-n demo wait job -l app=${name} --for=condition=complete ${TIMEOUT}`).catch(() => {});
    const jobs = JSON.parse(await cluster.kubectl(`-n demo get jobs -l app=${name} -o json`)).items;
    const ended = jobs.find(
      ({ status }: { readonly status: { readonly succeeded?: number } }) => status.succeeded === 1,
    );
    const query = 'remit ledger query --received /var/lib/remit/records --kind emitter --json --limit 1000';
    const log = `/${ended.metadata.name}-`;
    const left = await until(
      async () =>
        (await cluster.kubectl(`-n remit exec remit-authority-0 -- ${query}`))
          .split('\n')
          .find((line) => line.includes(log) && line.includes('"event":"left"')),
      { what: `the end of the log of ${name} at the authority`, withinMs: 60_000 },
    );
    const { signed, size } = JSON.parse(left);
    printRow(`Job ${ended.metadata.name}`, 'Complete', `records signed ${signed} of ${size}`);
    expect(size).toBeGreaterThan(4);
    expect(signed).toBe(size);
  });

  it('goes on when a pod of a StatefulSet is made again under its name, with a ledger of its own', async () => {
    await cluster.kubectl(`-n demo delete pod ${WORKLOADS.statefulSet}-0`);
    await rolledOut(`statefulset/${WORKLOADS.statefulSet}`);
    expect(await answersOf(WORKLOADS.statefulSet)).toEqual(ANSWERS);
    expect(await cluster.kubectl('-n remit exec remit-authority-0 -- remit fleet')).not.toMatch(/fork|broken|halt/i);
  });

  it('makes the same pod by `remit inject` and by Kustomize, and these run', async () => {
    const write = (path: string, text: string): string => {
      mkdirSync(resolve(folder, path, '..'), { recursive: true });
      writeFileSync(join(folder, path), text);
      return join(folder, path);
    };
    const list = write('by-command.json', itemsOf('by-command'));
    const words = ['--no-warnings', join(root, 'src/main.ts'), 'inject', '-f', list];
    await cluster.run(['kubectl', 'apply', '-f', '-'], {
      input: execFileSync(process.execPath, words, { encoding: 'utf8' }),
    });
    write('base/all.json', itemsOf('by-kustomize'));
    cpSync(join(root, 'deploy/inject/kustomize'), join(folder, 'component'), { recursive: true });
    const resources = { resources: ['all.json'], components: ['../component'] };
    write('base/kustomization.yaml', JSON.stringify(resources));
    await cluster.kubectl(`apply -k ${join(folder, 'base')}`);
    const wanted = await specOf(WORKLOADS.deployment);
    for (const name of ['by-command', 'by-kustomize']) {
      await rolledOut(`deployment/${name}`, BARE);
      const made = await specOf(name, BARE);
      for (const field of Object.keys({ ...wanted, ...made })) {
        const isSet = field === 'volumes';
        const sorted = (value: readonly { readonly name: string }[]) =>
          isSet ? value.toSorted((a, b) => (a.name < b.name ? -1 : 1)) : value;
        expect([name, field, sorted(made[field])]).toEqual([name, field, sorted(wanted[field])]);
      }
      expect(await answersOf(name, BARE)).toEqual(ANSWERS);
      printRow(name, `${Object.keys(made).length} fields of the pod are the same`, ANSWERS.join(', '));
    }
  });

  it('injects if it is required, whatever the label of a pod says', async () => {
    const { metadata, spec } = injectedPod('refuses', STRICT);
    const labels = { 'remit.dev/inject': 'disabled' };
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { ...metadata, labels },
      spec: { containers: spec.containers },
    };
    const { stdout } = await cluster.tried(['kubectl', 'create', '--dry-run=server', '-o', 'json', '-f', '-'], {
      input: [pod],
    });
    expect(JSON.parse(stdout).spec.initContainers[0].image).toBe(IMAGE);
  });

  it('refuses hostile pods by the guard alone, as if `remit inject` is used', async () => {
    const matchResources = { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': ALONE } } };
    await cluster.apply({
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingAdmissionPolicyBinding',
      metadata: { name: 'guard-alone' },
      spec: { policyName: 'remit-guard', validationActions: ['Deny'], matchResources },
    });
    const without = injectedPod('x', ALONE, () => ({ initContainers: [] }));
    await until(async () => (await created(without)).status !== 0, { what: 'the guard' });
    expect(await created(injectedPod('x', ALONE))).toMatchObject({ status: 0 });
    for (const { change, refused, what } of HOSTILE) {
      const { status, stderr } = await created(injectedPod('x', ALONE, change));
      printRow('API server', what, stderr.replace(/^.*denied request: /s, '').trim());
      expect({ what, status, stderr }).toEqual({ what, status: 1, stderr: expect.stringContaining(refused) });
    }
  });

  it('would run most of them otherwise: what a kubelet makes of each', async () => {
    await cluster.apply(configMap(BARE, 'evil', { 'remit.yaml': 'evil', EVIL: 'evil' }));
    const pods = HOSTILE.map((hostile, at) => hostilePodToRun(`hostile-${at}`, BARE, hostile));
    const { stderr } = await cluster.tried(['kubectl', 'create', '-f', '-'], { input: pods });
    const isAsSaid = (found: ReadonlyMap<string, string>): boolean =>
      HOSTILE.every(({ atKubelet }, at) => atKubelet.test(found.get(`hostile-${at}`) ?? stderr));
    let found: ReadonlyMap<string, string> = new Map();
    await until(async () => isAsSaid((found = await whatBecameOf(cluster, BARE, 'app=hostile'))), {
      what: 'pods of which the kubelet made something',
      withinMs: 300_000,
    }).catch(() => {});
    const all = HOSTILE.map(({ what }, at) => ({ what, became: found.get(`hostile-${at}`) ?? stderr }));
    for (const { became, what } of all) printRow('kubelet', what, became);
    await cluster.kubectl(`-n ${BARE} delete pods -l app=hostile --force --grace-period=0`);
    expect(all).toEqual(HOSTILE.map(({ atKubelet, what }) => ({ what, became: expect.stringMatching(atKubelet) })));
  });

  it('takes and refuses debug containers as the page says', async () => {
    const pod = await podOf(WORKLOADS.deployment);
    for (const [words, refused] of DEBUG_COMMANDS) {
      const debug = `kubectl -n demo debug ${words.replace('POD', pod)} --image=${IMAGE} --attach=false`.split(' ');
      const { status, stderr } = await cluster.tried([...debug, '--', '/usr/bin/node', '-v']);
      const said = stderr.split('\n').find((line) => line.includes(GUARD)) ?? '';
      printRow('kubectl debug', words, said === '' ? 'taken' : said.replace(/^.*denied request: /, ''));
      expect([words, status, said]).toEqual([
        words,
        refused === null ? 0 : 1,
        refused === null ? '' : expect.stringContaining(refused),
      ]);
    }
    expect((await cluster.kubectl('-n demo get pod copy -o jsonpath={.spec.initContainers[0].image}')).trim()).toBe(
      IMAGE,
    );
    await cluster.kubectl('-n demo delete pod copy --wait=false');
    for (const words of DEBUG_WORDS) expect(PAGE).toContain(words);
  });

  it('says in `kubectl describe` what is wrong with the configuration of a pod that does not start', async () => {
    const sidecar = await cluster.kubectl(`-n ${BARE} get configmap remit-sidecar -o jsonpath={.data.remit\\.yaml}`);
    await cluster.apply(
      configMap(BARE, 'remit-typo', { 'remit.yaml': `${sidecar}\nledgers: {}\n` }),
      configMap(BARE, 'remit-empty', { 'tools.cedar': '' }),
    );
    const rows: readonly (readonly [name: string, volume: string, from: string, said: RegExp])[] = [
      ['typo', 'remit-config', 'remit-typo', /Message:[^]*`?ledgers`?/],
      ['policies', 'remit-policies', 'remit-empty', /Message:[^]*actions\.yaml/],
      ['missing', 'remit-config', 'remit-nowhere', /FailedMount[^]*configmap "remit-nowhere" not found/],
    ];
    for (const [name, of, from] of rows)
      await cluster.apply(
        injectedPod(name, BARE, ({ volumes }) => ({
          volumes: volumes.map((one) => (one.name === of ? { name: of, configMap: { name: from } } : one)),
        })),
      );
    for (const [name, , , said] of rows) {
      let described = '';
      await until(async () => said.test((described = await cluster.kubectl(`-n ${BARE} describe pod ${name}`))), {
        what: `what is wrong with ${name}`,
        withinMs: 120_000,
      }).catch(() => {});
      printRow('kubectl describe', name, said.exec(described)?.[0] ?? '');
      expect(described).toMatch(said);
    }
    await cluster.kubectl(`-n ${BARE} delete pods ${rows.map(([name]) => name).join(' ')} --force --grace-period=0`);
  });

  const upgrade = (value: string): Promise<string> =>
    cluster.run(['helm', 'upgrade', 'remit', CHART, '-n', 'remit', '--reuse-values', '--wait', '--set', value], {
      timeoutMs: 400_000,
    });

  it('keeps injected pods as they are in an upgrade of their configuration alone, and gives new pods the new configuration', async () => {
    const { deployment, statefulSet } = WORKLOADS;
    const former = await podOf(deployment);
    await upgrade(`sidecar.config.extAuthz.helpUrl=${HELP}`);
    const before = await toldBy(deployment);
    expect([await podOf(deployment), before.map((line) => line.slice(0, 3))]).toEqual([former, ANSWERS]);
    expect(before.join()).not.toContain(HELP);
    await cluster.kubectl(`-n demo delete pod ${statefulSet}-0`);
    await rolledOut(`statefulset/${statefulSet}`);
    await cluster.kubectl(`-n demo rollout restart deployment/${deployment}`);
    await rolledOut(`deployment/${deployment}`);
    await until(async () => (await podOf(deployment)) !== former, { what: 'the end of the pod of before' });
    for (const name of [statefulSet, deployment]) {
      expect([await imageOf(name), (await toldBy(name))[0]]).toEqual([IMAGE, expect.stringContaining(HELP)]);
    }
    printRow('upgrade of the configuration', 'pods of before go on with theirs', 'new ones have the next');
  });

  it('keeps injected pods as they are in an upgrade, and gives new pods the new sidecar', async () => {
    const next = IMAGE.replace(/:[^:]*$/, `:${NEXT}`);
    const { deployment, statefulSet } = WORKLOADS;
    await cluster.run([join(clusterProgramsFolder, 'registry'), 'push', join(cluster.layout.state, 'layout'), next]);
    await upgrade(`image.tag=${NEXT}`);
    expect([await imageOf(deployment), await answersOf(deployment)]).toEqual([IMAGE, ANSWERS]);
    // Whoever may change pods may still change other things of them.
    await cluster.kubectl(`-n demo label pod ${await podOf(deployment)} acme.test/seen=1`);
    await cluster.kubectl(`-n demo delete pod ${statefulSet}-0`);
    await rolledOut(`statefulset/${statefulSet}`);
    expect([await imageOf(statefulSet), await answersOf(statefulSet)]).toEqual([next, ANSWERS]);
    await cluster.kubectl('-n demo rollout restart deployment');
    await rolledOut(`deployment/${deployment}`);
    await until(async () => (await imageOf(deployment)) === next, { what: 'the end of the pod of before' });
    expect(await answersOf(deployment)).toEqual(ANSWERS);
    printRow('upgrade', 'pods of before work with their image', 'new pods and restarted ones have the next');
  });

  it('refuses a pod without Remit if it is required, if nothing injects', async () => {
    await cluster.kubectl('delete mutatingadmissionpolicybindings --all');
    const { metadata, spec } = injectedPod('without', STRICT);
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata, spec: { containers: spec.containers } };
    const { stderr } = await until(
      async () => {
        const ran = await created(pod);
        return ran.status === 0 ? undefined : ran;
      },
      { what: 'an API server that injects no more' },
    );
    printRow('API server', 'required, nothing injects', stderr.replace(/^.*denied request: /s, ''));
    expect(stderr).toContain('the native sidecar `remit` must be the one of the policy remit-inject');
  });
});
