import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { ledgerCheckProof } from '../../../src/cli/ledger/ledger-check-proof.ts';
import { policyTest } from '../../../src/cli/policy/policy-test.ts';
import { ledgerEvidence } from '../../../src/cli/ledger/ledger-evidence.ts';
import { frameworks } from '../../../src/tools/evidence/frameworks.ts';
import type { EvidenceReport } from '../../../src/tools/evidence/report.ts';
import { keptPoliciesFile } from '../../../src/core/ledger/log/kept-policies.ts';
import { addUse, type DiskLedger, diskLedger, ran, segmentsOf, START_MS, tamper } from '../../cli/ledgers.ts';
import { mustOpenLog, portsAt } from '../../core/ledger/log/logs.ts';
import { folderWith } from '../../builders/policy-folder.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { oscalProblems } from './oscal-schema.ts';
import { demoLedger, observedUses, policySet, source } from './demo-ledger.ts';
import type { PolicySource } from '../../../src/core/policy/loading/source.ts';

const folder = testFolders();

let ledger: DiskLedger;
beforeAll(async () => {
  ledger = await demoLedger(folder());
});

const period = ['--from', '2026-01-01', '--to', '2026-01-02'];
const evidence = (framework: string, ...more: readonly string[]) =>
  ran(
    // The programs of an analysis are found by the path.
    (args, io) => ledgerEvidence(args, { ...io, environment: { PATH: process.env['PATH'] } }),
    '--ledger',
    ledger.folder,
    '--key',
    ledger.key,
    '--anchors',
    ledger.anchors,
    '--framework',
    framework,
    ...period,
    '--seed',
    'auditor',
    ...more,
  );
const reportOf = async (framework: string, ...more: readonly string[]): Promise<EvidenceReport> =>
  JSON.parse((await evidence(framework, '--format', 'json', ...more)).out);
const drawn = (report: EvidenceReport) => report.sample.map(({ ref }) => ref);
const controlIn = ({ controls }: EvidenceReport, id: string) => controls.find((control) => control.id === id);

/** The state of the article about the stop button, for the period up to an instant. */
const stopButton = async (to: string) => controlIn(await reportOf('eu-ai-act', '--to', to), 'Article 14(4)(e)')?.state;

/** A test of the set of the demo. */
const TESTS = `cases:
  - name: it pays
    agent: spiffe://acme.test/ns/agents/sa/planner
    action: payments.create
    args: { amount: 5, currency: EUR }
    task: { risk: high }
    expect: allow
  - name: not at low risk
    agent: spiffe://acme.test/ns/agents/sa/planner
    action: payments.create
    args: { amount: 5, currency: EUR }
    expect: deny
`;

/** The files of a set in a folder. */
function writtenFolder(into: string, { catalogs, schema, policies }: PolicySource): string {
  mkdirSync(into, { recursive: true });
  for (const { name, text } of [...catalogs, schema, ...policies]) writeFileSync(join(into, name), text);
  return into;
}

/** Replaces what differs between runs: keys, hashes, proofs, folders and the time of the report. */
const normalised = (text: string): string =>
  text
    .replaceAll(/c2sp\.org\/tlog-proof@v1\n[^]*?\n```/g, '(proof)\n```')
    .replaceAll(/remit\.acme\.test\/main\/[0-9a-f]+/g, '(origin)')
    .replaceAll(/root `[^`]+`/g, 'root `(hash)`')
    .replaceAll(/sha-256:[\w-]{43}/g, 'sha-256:(hash)')
    .replaceAll(/set `sha-256:[\w-]{8}`/g, 'set `sha-256:(hash)`')
    .replace(/^- made: .*$/m, '- made: (then and by whom)')
    // The shipped catalog and schema are left out.
    .replaceAll(/`(actions\.yaml|base\.cedarschema)`, \d+ bytes:\n\n(`{3,})text\n[^]*?\n\2/g, '`$1` (text)');

describe('remit ledger evidence', () => {
  it('prints the expected report', async () => {
    const { exit, out, err } = await evidence('owasp-asi-2026');
    expect([exit, err]).toEqual([0, '']);
    const file = join(import.meta.dirname, 'demo-owasp-asi-2026.md');
    // `REMIT_GOLDEN=write npm run jest -- test/tools/evidence` rewrites the file; read it before you commit it.
    if (process.env['REMIT_GOLDEN'] === 'write') writeFileSync(file, normalised(out));
    expect(normalised(out)).toBe(readFileSync(file, 'utf8'));
  });

  it('counts enforcement and exceptions, with the first and last record', async () => {
    const report = await reportOf('csf-2.0');
    expect(report.records.count).toBe(11);
    expect(controlIn(report, 'PR.AA-05')).toMatchObject({
      coverage: 'enforces',
      state: 'evidenced in part',
      gaps: [{ code: 'unchecked', text: 'calls reached an upstream without a check: 1 findings (`bypass`)' }],
      uses: { allowed: 2, executed: 0, unknown: 2 },
      enforced: [
        { id: 'E3', count: 2 },
        { id: 'E4', count: 2 },
        { id: 'E6', count: 1 },
      ],
      exceptions: [
        { code: 'policy.forbidden', count: 1 },
        { code: 'token.binding', count: 1 },
      ],
      first: { ref: 1, at: '2026-01-01T00:00:00.000Z' },
      last: { ref: 7, at: '2026-01-01T00:00:05.000Z' },
    });
    expect(controlIn(report, 'DE.AE-03')).toMatchObject({ exceptions: [{ code: 'bypass', count: 1 }] });
    expect(controlIn(report, 'RS.MI-02')).toMatchObject({ state: 'not evidenced by this ledger', enforced: [] });
    expect(report.actors.map(({ name, count }) => [name, count])).toEqual([
      ['account remit', 1],
      ['operator Ada Lovelace (account root)', 1],
      ['remit', 1],
    ]);
    // An unchecked call is an exception of the period, whichever control is reported.
    const bypass = { code: 'bypass', count: 1 };
    expect(report.classes.find(({ id }) => id === 'E11')).toMatchObject({ count: 1, exceptions: [bypass] });
    expect(report.args).toEqual([{ action: 'payments.create', argument: 'amount', uses: 2, sum: '550', largest: 300 }]);
    // Allowed is not executed: no outcome says that the two calls were.
    expect(report.uses).toMatchObject({ allowed: 2, executed: 0, unknown: 2 });
    expect(report.ledger).toMatchObject({ verdict: { kind: 'sound', bare: null, anchored: { from: 1 } } });
  });

  it('counts no record after the last checkpoint, which anybody can have appended, and says how many', async () => {
    const own = await demoLedger(folder());
    const asked = ['--ledger', own.folder, '--key', own.key, '--framework', 'csf-2.0', ...period];
    const counted = async () => {
      const report = JSON.parse((await ran(ledgerEvidence, ...asked, '--format', 'json')).out) as EvidenceReport;
      return [report.records.count, report.ledger.leftOut];
    };
    expect(await counted()).toEqual([11, 0]);
    const log = mustOpenLog(own.settings, portsAt(START_MS + 10_000));
    addUse(log, 9);
    expect(await counted()).toEqual([11, 1]);
    const page = await ran(ledgerEvidence, ...asked);
    expect(page.out).toContain('- left out: 1 records of the period that no checkpoint and no anchor covers yet\n');
    log.close();
    expect(await counted()).toEqual([13, 0]);
  });

  it('counts calls that were only observed apart: never as allowed by policy', async () => {
    const observing = await demoLedger(folder(), undefined, observedUses);
    const asked = ['--ledger', observing.folder, '--key', observing.key, '--framework', 'csf-2.0', ...period];
    const { out } = await ran(ledgerEvidence, ...asked, '--format', 'json');
    const report = JSON.parse(out) as EvidenceReport;
    expect(report.observed).toMatchObject({ count: 3, first: { seq: 11 }, last: { seq: 13 } });
    const pay = { id: 'pay', set: policySet, count: 2, isOpen: false };
    expect(controlIn(report, 'PR.AA-05')).toMatchObject({
      state: 'evidenced in part',
      gaps: [{ code: 'only-observed', isWhole: false }, { code: 'unchecked' }],
      policies: [pay],
      allowed: { allowed: 2, unrestricted: 0, unknown: 0 },
    });
    expect(report.classes.find(({ id }) => id === 'E3')).toMatchObject({ count: 2 });
    expect(report.args).toMatchObject([{ argument: 'amount', uses: 2, sum: '550', largest: 300 }]);
    expect(report.uses).toMatchObject({ allowed: 2 });
    const page = await ran(ledgerEvidence, ...asked);
    expect(page.out).toContain('- only observed, let through by no policy: 3 calls');
    expect((await evidence('csf-2.0')).out).not.toContain('only observed');
  });

  it('says by which policies a control was enforced, and that it was not by a permit of everything', async () => {
    const control = controlIn(await reportOf('csf-2.0'), 'PR.AA-05');
    const pay = { id: 'pay', set: policySet, count: 2, isOpen: false };
    expect(control).toMatchObject({
      gaps: [{ code: 'unchecked' }],
      policies: [pay],
      allowed: { allowed: 2, unrestricted: 0, unknown: 0 },
    });

    const open = await demoLedger(
      folder(),
      folderWith('@id("pay") permit (principal, action, resource) when { true };'),
    );
    const asked = ['--ledger', open.folder, '--key', open.key, '--framework', 'csf-2.0', ...period];
    const report: EvidenceReport = JSON.parse((await ran(ledgerEvidence, ...asked, '--format', 'json')).out);
    expect(controlIn(report, 'PR.AA-05')).toMatchObject({
      coverage: 'enforces',
      state: 'recorded, not evidenced',
      gaps: [{ code: 'open-permit', isWhole: true }, { code: 'open-set', isWhole: true }, { code: 'unchecked' }],
      policies: [{ id: 'pay', count: 2, isOpen: true }],
      allowed: { allowed: 2, unrestricted: 2, unknown: 0 },
    });
    const { out } = await ran(ledgerEvidence, ...asked);
    expect(out).toMatch(/^- decided by: pay 2 \(set `sha-256:\S{8}`, allowed 2, \*\*permits everything\*\*\)$/m);
    expect(out).toMatch(/^- \*\*gap\*\*: policies that permit everything allowed 2 of 2 calls and intents$/m);
    expect(out).toMatch(/^- enforces: recorded, not evidenced$/m);
  });

  it('evidences nothing that policies decide if their text is not here, unless a folder has it by its hash', async () => {
    const bare = await demoLedger(folder(), source, [], { isTextKept: false });
    const asked = ['--ledger', bare.folder, '--key', bare.key, '--framework', 'csf-2.0', ...period, '--format', 'json'];
    const stateIn = async (...more: readonly string[]) => {
      const { out, err } = await ran(ledgerEvidence, ...asked, ...more);
      expect(err).toBe('');
      return controlIn(JSON.parse(out) as EvidenceReport, 'PR.AA-05');
    };
    expect(await stateIn()).toMatchObject({
      state: 'recorded, not evidenced',
      allowed: { allowed: 2, unrestricted: 0, unknown: 2 },
      gaps: [{ code: 'text-unknown', isWhole: true }, { code: 'text-unknown', isWhole: true }, { code: 'unchecked' }],
    });
    // Another set does not help.
    const other = writtenFolder(folder(), folderWith('permit (principal, action, resource);'));
    expect(await stateIn('--policies', other)).toMatchObject({ state: 'recorded, not evidenced' });
    const own = writtenFolder(folder(), source);
    expect(await stateIn('--policies', other, '--policies', own)).toMatchObject({
      state: 'evidenced in part',
      gaps: [{ code: 'unchecked' }],
    });
  });

  // Issue 43, point 7: never claimed without the result of the set in force.
  it('claims coverage, mutation and proofs for the very set that a result names', async () => {
    const own = writtenFolder(folder(), source);
    writeFileSync(join(own, 'a.test.yaml'), TESTS);
    const tested = await ran(policyTest, own, '--listed-only', '--json');
    const whole = await ran(policyTest, own, '--mutate', '--survivors', '999', '--json');
    const of = (out: string, name: string): string => {
      const file = join(folder(), name);
      writeFileSync(file, out);
      return file;
    };
    const bin = folder();
    mkdirSync(bin, { recursive: true });
    for (const name of ['cedar', 'cvc5'])
      writeFileSync(
        join(bin, name),
        "#!/bin/sh\nif [ $1 = --version ]; then echo $0 9.8.7; else echo '\u2713 implies: VERIFIED'; fi\n",
        { mode: 0o755 },
      );
    const spec = of(
      '@id("cap") @reason("none of reads") forbid (principal, action == Remit::Action::"payments.list", resource);',
      's.cedar',
    );
    const report = await reportOf(
      'csf-2.0',
      '--result',
      of(tested.out, 'part.json'),
      '--result',
      of(whole.out, 'whole.json'),
      '--spec',
      spec,
      '--engine',
      bin,
    );
    expect(controlIn(report, 'PR.AA-05')?.assurance).toEqual([
      {
        set: policySet,
        isInForce: true,
        invariants: { proved: 1, refuted: 0, undecided: 0 },
        coverage: 100,
        survived: expect.any(Number),
      },
    ]);
    expect(controlIn(report, 'PR.DS-02')?.assurance).toEqual([]);
    expect(report.policySets[0]?.results).toMatchObject([
      { kind: 'tests', isWhole: false, from: { file: 'part.json' } },
      { kind: 'tests', isWhole: true, from: { file: 'whole.json' } },
      {
        kind: 'analysis',
        from: null,
        prover: { cedar: '9.8.7', cvc5: '9.8.7' },
        answers: [{ invariants: ['cap'], reason: 'none of reads' }],
      },
    ]);

    const other = JSON.stringify({ ...JSON.parse(whole.out), policySet: `sha-256:${'A'.repeat(43)}` });
    const left = await evidence('csf-2.0', '--result', of(other, 'other.json'), '--format', 'json');
    expect(left.err).toMatch(/`other\.json` is left out: the set `sha-256:A+` was not in force in the period/);
    expect(controlIn(JSON.parse(left.out) as EvidenceReport, 'PR.AA-05')?.assurance).toEqual([
      { set: policySet, isInForce: true, invariants: null, coverage: null, survived: null },
    ]);
    const bad = await evidence('csf-2.0', '--result', of('{}', 'bad.json'));
    expect([bad.exit, bad.err]).toEqual([2, expect.stringContaining('the result `')]);
  });

  it('says that records may be missing if the retention deleted all before the period', async () => {
    const pruned = diskLedger(folder(), 9, { change: { retain: { maxBytes: 1, maxAgeMs: 3_600_000 } } });
    const gapsFrom = async (from: string) => {
      const asked = ['--ledger', pruned.folder, '--key', pruned.key, '--framework', '800-53', '--format', 'json'];
      const { out } = await ran(ledgerEvidence, ...asked, '--from', from, '--to', '2026-01-02');
      return controlIn(JSON.parse(out) as EvidenceReport, 'AU-9');
    };
    const missing = {
      code: 'records-missing',
      text: expect.stringMatching(/^the retention deleted 9 records of the ledger/),
    };
    expect(await gapsFrom('2026-01-01')).toMatchObject({ state: 'evidenced in part', gaps: [missing] });
  });

  it('evidences human oversight by acts of operators alone, not by what agents did', async () => {
    // The operator ends the task at the seventh second.
    expect(await stopButton('2026-01-01T00:00:07Z')).toBe('no record in this period');
    expect(await stopButton('2026-01-01T00:00:08Z')).toBe('evidenced');
  });

  it('evidences no control by a broken ledger', async () => {
    const broken = await demoLedger(folder());
    const [segment = ''] = segmentsOf(broken.folder);
    expect(
      tamper(
        segment,
        "UPDATE records SET bytes = CAST(replace(CAST(bytes AS TEXT), '250', '950') AS BLOB) WHERE seq = 4",
      ),
    ).toBe(1);
    const asked = ['--ledger', broken.folder, '--key', broken.key, '--framework', '800-53', ...period];
    const { exit, out } = await ran(ledgerEvidence, ...asked, '--format', 'json');
    expect(exit).toBe(1);
    const states = (JSON.parse(out) as EvidenceReport).controls.map(({ state }) => state);
    expect(states).not.toContain('evidenced');
    expect(states).not.toContain('evidenced in part');
  });

  it('shows the policy text with its hash, origin and key, and refuses any other text', async () => {
    const [set] = (await reportOf('ai-rmf')).policySets;
    expect(set).toMatchObject({
      hash: policySet,
      decisions: 5,
      loads: [{ ref: 1, origin: expect.stringContaining('signed under the key k-1'), by: 'remit' }],
      text: 'kept, and it has this hash',
    });
    expect(set?.files.at(-1)).toMatchObject({
      name: 'a.cedar',
      text: expect.stringMatching(/^@id\("pay"\) permit /),
    });
    const other = await demoLedger(folder());
    const file = keptPoliciesFile(other.folder, policySet);
    writeFileSync(file, readFileSync(file, 'utf8').replace('permit', 'forbid'));
    const { out } = await ran(
      ledgerEvidence,
      '--ledger',
      other.folder,
      '--key',
      other.key,
      '--framework',
      'ai-rmf',
      ...period,
      '--format',
      'json',
    );
    expect(JSON.parse(out).policySets[0]).toMatchObject({
      text: 'not believed: it does not have the hash it is kept under',
      files: [],
    });
  });

  it('draws the same records for the same seed, each with a valid proof', async () => {
    const report = await reportOf('800-53', '--sample', '1');
    expect(drawn(await reportOf('800-53', '--sample', '1'))).toEqual(drawn(report));
    expect(report.sample.length).toBeGreaterThan(3);
    for (const { ref: seq, proof } of report.sample) {
      const file = join(folder(), `${seq}.tlog-proof`);
      writeFileSync(file, proof ?? '');
      const { exit, out } = await ran(ledgerCheckProof, file, '--key', ledger.key, '--json');
      expect([exit, JSON.parse(out)]).toMatchObject([0, { leaf: { seq } }]);
    }
    expect((await reportOf('800-53', '--sample', '0')).sample).toEqual([]);
  });

  it('states that a period has no records', async () => {
    const report = await reportOf('maestro', '--from', '2025-01-01', '--to', '2025-02-01');
    expect(report.records.count).toBe(0);
    const states = new Set(report.controls.map(({ state }) => state));
    expect(states).toEqual(new Set(['no record in this period', 'not evidenced by this ledger']));
  });

  it('states at its head that a ledger is broken, and exits with 1', async () => {
    const broken = await demoLedger(folder());
    const [segment = ''] = segmentsOf(broken.folder);
    expect(
      tamper(
        segment,
        "UPDATE records SET bytes = CAST(replace(CAST(bytes AS TEXT), '250', '950') AS BLOB) WHERE seq = 4",
      ),
    ).toBe(1);
    const { exit, out } = await ran(
      ledgerEvidence,
      '--ledger',
      broken.folder,
      '--key',
      broken.key,
      '--framework',
      '800-53',
      ...period,
    );
    expect([exit, out]).toEqual([1, expect.stringMatching(/^- verdict: BROKEN \(record \d+\)/m)]);
  });

  it.each([...frameworks.keys()])('gives OSCAL assessment results that its schema accepts: %s', async (framework) => {
    const { exit, out } = await evidence(framework, '--format', 'oscal');
    const document = JSON.parse(out);
    expect([exit, oscalProblems(document)]).toEqual([0, []]);
    const [result] = document['assessment-results'].results;
    expect(result.findings).toBeUndefined();
    expect(result.observations.length).toBeGreaterThan(5);
    delete document['assessment-results'].metadata.title;
    expect(oscalProblems(document)).not.toEqual([]);
  });

  it('writes a new file that only its owner can read', async () => {
    const out = join(folder(), 'report.md');
    expect(await evidence('maestro', '--out', out)).toMatchObject({ exit: 0, out: '' });
    expect(statSync(out).mode & 0o777).toBe(0o600);
    expect((await evidence('maestro', '--out', out)).exit).toBe(2);
  });

  it.each<[string, readonly string[], RegExp]>([
    ['a framework', ['--framework', 'iso'], /--framework must be one of csf-2\.0, ai-rmf, /],
    ['a format', ['--format', 'pdf'], /--format must be one of markdown, html, json, oscal/],
    ['a period', ['--to', '2025-01-01'], /--to must be after --from/],
    ['a sample', ['--sample', '21'], /--sample must be a whole number from 0 to 20/],
    ['engine without a specification', ['--engine', '/nowhere'], /--engine goes with --spec/],
    ['a ledger', ['--ledger', '/nowhere'], /no ledger in `\/nowhere`/],
  ])('refuses an invalid %s', async (_name, words, message) => {
    const { exit, err } = await evidence('csf-2.0', ...words);
    expect([exit, err]).toEqual([2, expect.stringMatching(message)]);
  });
});

describe('frameworks', () => {
  it.each([...frameworks.values()])('$id lists each control once, with classes if it has evidence', ({ controls }) => {
    expect(new Set(controls.map(({ id }) => id)).size).toBe(controls.length);
    for (const { coverage, classes, limit } of controls) {
      expect([coverage === 'none', limit === '']).toEqual([classes.length === 0, false]);
    }
  });

  it.each([
    ['owasp-asi-2026', 'ASI04', 'Agentic Supply Chain Vulnerabilities'],
    ['eu-ai-act', 'Article 12(1)', /^Record-keeping: /],
    ['eu-ai-act', 'Article 14(4)(e)', /^Human oversight: /],
    ['eu-ai-act', 'Article 19(1)', /^Automatically generated logs: /],
    ['eu-ai-act', 'Article 26(6)', /^Obligations of deployers of high-risk AI systems: /],
    ['iso-42001', 'A.6.2.8', 'AI system recording of event logs'],
    ['soc-2', 'CC6.1', /^The entity implements logical access security software, infrastructure, and architectures /],
    ['iso-27001', '8.15', 'Logging'],
  ])('%s has %s by its published title', (framework, id, title) => {
    const found = frameworks.get(framework)?.controls.find((each) => each.id === id)?.title;
    expect(found).toEqual(typeof title === 'string' ? title : expect.stringMatching(title));
  });

  it('mark other names as unverified aliases', () => {
    const aliases = [...frameworks.values()].flatMap(({ controls }) =>
      controls.flatMap(({ id, aliases: of }) => of.map((alias) => [alias.id, id, alias.source.split(':')[0]])),
    );
    expect(aliases).toEqual([
      ['AGENT-04', 'ASI03', 'unverified'],
      ['M1', 'Agent Identity Attack (L7)', 'unverified'],
    ]);
  });
});
