import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';

/**
 * Issue 41, point 2: every place of `sidecar/` and `serve/` that makes a denial or a refused answer, and what becomes of it while its call is only
 * observed. A new place fails this test until it has its row here: a denial that an observed call meets is an outage while observing, and one that
 * passes must not be a token that is ended or stolen.
 */

/**
 * - `passes`: the call passes, unless its token or a forbid with `@always` denies it also while observing
 * - `denied`: it is denied also while observing
 * - `unknown`: it is refused, since nothing that arrived says whose call it is; Envoy's own bounds keep such calls away
 * - `enforced`: only calls that are enforced come here, or those of which another row says that they do not pass
 * - `passes on`: it gives what another row made
 * - `no call`: it answers no check
 */
type Fate = 'passes' | 'denied' | 'unknown' | 'enforced' | 'passes on' | 'no call';

/** A place, as its file has it; its fate; and the test that shows it, by file and title. */
type Row = readonly [place: string, fate: Fate, file: string, title: string];

const CHECK = 'sidecar/check/check.test.ts';
const SERVER = 'sidecar/envoy/server.test.ts';
const UNREAD = 'passes if its request %s, but not with a forged token';
const NOT_WHOLE = 'passes if its request could not be read whole, by its caller and host';
const UNDECIDED = 'passes if its check is refused without being decided, for the reason of the refusal';
const HAS_NO_CALL = 'is denied, since it shows no call';

const FATES: Readonly<Record<string, readonly Row[]>> = {
  'sidecar/check/decide-now.ts': [
    [
      "deny('overloaded'",
      'passes',
      CHECK,
      'passes above the rate of its agent, which has no effect on what is denied while observing',
    ],
    ["deny('check.deadline'", 'passes', CHECK, 'with an ended token is denied %s, with a live token it passes'],
  ],
  'sidecar/check/decide-use.ts': [
    ["deny('task.state-unavailable'", 'passes', CHECK, 'passes if %s, and takes nothing'],
  ],
  'sidecar/check/passing-fault.ts': [
    ["deny('internal'", 'passes', CHECK, 'passes if its check throws, unless it carries a token that is to be judged'],
  ],
  'sidecar/check/sent-record.ts': [["deny('ledger.unavailable'", 'passes', CHECK, 'passes if %s, and takes nothing']],
  'sidecar/check/settle.ts': [
    ["deny('task.exhausted'", 'passes', CHECK, 'takes nothing from a budget that it exceeds'],
    ["deny('token.revoked'", 'denied', CHECK, 'is denied if it is %s'],
    ["deny('task.replayed'", 'denied', CHECK, 'is denied if it is %s'],
    ["deny('task.exhausted'", 'passes', CHECK, 'passes if %s, and takes nothing'],
  ],
  'sidecar/check/task-facts.ts': [
    [
      "deny('token.signature'",
      'denied',
      CHECK,
      'is denied if its token ends, or its key is revoked, while it waits for a state that fails',
    ],
    ['deny(live.reason', 'denied', CHECK, 'is denied if it is %s'],
  ],
  'sidecar/check/transaction-token.ts': [
    ["deny('internal'", 'passes', CHECK, 'passes without its transaction token if none can be signed'],
    ["deny('internal'", 'passes', CHECK, 'passes without its transaction token if none can be signed'],
  ],
  'sidecar/envoy/access-log/entry-reader.ts': [
    ["deny('request.too-large'", 'no call', '', ''],
    ["deny('request.malformed'", 'no call', '', ''],
  ],
  'sidecar/envoy/authorization.ts': [
    [
      "refuse('failed')",
      'enforced',
      CHECK,
      'passes if its check throws, unless it carries a token that is to be judged',
    ],
    [
      "refuse('agent')",
      'enforced',
      CHECK,
      'passes above the rate of its agent, which has no effect on what is denied while observing',
    ],
    ['deny(REASONS[cause]', 'passes', CHECK, UNDECIDED],
    ['preparedDenial(reason', 'passes on', SERVER, 'lets a call pass that is only observed, %s'],
  ],
  'sidecar/envoy/check/canonical.ts': [
    ["deny('request.not-canonical'", 'passes', CHECK, UNREAD],
    ["deny('request.unsupported'", 'passes', CHECK, UNREAD],
    ["deny('request.too-large'", 'passes', CHECK, UNREAD],
  ],
  'sidecar/envoy/check/check-request.ts': [
    ["deny('request.not-canonical'", 'passes', CHECK, UNREAD],
    // Of more headers than Envoy takes, the caller of a proxy's header may be missing.
    ["deny('request.too-large'", 'unknown', CHECK, HAS_NO_CALL],
    ["deny('request.too-large'", 'passes', CHECK, UNREAD],
  ],
  'sidecar/envoy/check/decoded-header.ts': [
    ["deny('request.malformed'", 'passes', CHECK, UNREAD],
    ["deny('request.not-canonical'", 'passes', CHECK, UNREAD],
  ],
  'sidecar/envoy/check/header-line.ts': [["deny('request.not-canonical'", 'passes', CHECK, UNREAD]],
  'sidecar/envoy/check/headers.ts': [
    ["deny('request.unsupported'", 'passes', CHECK, UNREAD],
    ["deny('request.not-canonical'", 'passes', CHECK, UNREAD],
    ["deny('request.too-large'", 'passes', CHECK, UNREAD],
  ],
  'sidecar/envoy/check/peer-certificate.ts': [
    [
      "deny('identity.conflict'",
      'passes',
      CHECK,
      'without an identity passes by its server alone, and is read to be learnt',
    ],
  ],
  'sidecar/envoy/check/peer-facts.ts': [
    ["deny('request.too-large'", 'passes', CHECK, 'whose peer cannot be read passes as a call without an identity'],
    ["deny('request.not-canonical'", 'passes', CHECK, 'whose peer cannot be read passes as a call without an identity'],
  ],
  'sidecar/envoy/check/refusal.ts': [
    ["preparedDenial('internal'", 'passes on', SERVER, 'refuses if the answer for an observed call throws or is empty'],
  ],
  'sidecar/envoy/check/request.ts': [
    ["deny('request.unsupported'", 'unknown', CHECK, HAS_NO_CALL],
    ["deny('request.not-canonical'", 'passes', CHECK, UNREAD],
    ["deny('request.not-canonical'", 'passes', CHECK, UNREAD],
    ["deny('request.not-canonical'", 'passes', CHECK, UNREAD],
    ["deny('request.not-canonical'", 'passes', CHECK, UNREAD],
    ["deny('request.body-incomplete'", 'passes', CHECK, NOT_WHOLE],
    ["deny('request.body-incomplete'", 'passes', CHECK, NOT_WHOLE],
    ["deny('request.malformed'", 'passes', CHECK, UNREAD],
  ],
  'sidecar/envoy/check/response.ts': [
    ['deny(reason', 'passes on', SERVER, 'lets a call pass that is only observed, %s'],
  ],
  'sidecar/envoy/grpc/framing.ts': [
    ["deny('request.body-incomplete'", 'passes', CHECK, NOT_WHOLE],
    ["deny('request.not-canonical'", 'passes', CHECK, UNREAD],
    ["deny('request.unsupported'", 'passes', CHECK, UNREAD],
  ],
  'sidecar/envoy/network/network-server.ts': [
    // A proxy that may not ask: no check of it is read.
    ['#refuse(call,peer)', 'no call', '', ''],
  ],
  'sidecar/envoy/server.ts': [
    ['#refused(call,call.message,cause)', 'passes', SERVER, 'lets a call pass that is only observed, %s'],
    [
      "#refused(call,call.message,'deadline',isUnderWay?call.signal:undefined)",
      'passes',
      SERVER,
      'lets an observed call pass at its deadline, while it waits and while it is under way',
    ],
    // Its message is not complete, or cannot be read at all.
    ["#refusal('full')", 'unknown', CHECK, HAS_NO_CALL],
    ['#refusal(refusalCause[message])', 'unknown', CHECK, HAS_NO_CALL],
    ["#refused(call,message,'agent')", 'passes', SERVER, 'lets a call pass that is only observed, %s'],
    ["#refused(call,message,'full')", 'passes', SERVER, 'lets a call pass that is only observed, %s'],
    ['#refusal(...why)', 'enforced', SERVER, 'lets a call pass that is only observed, %s'],
    ['#refusal(...why)', 'enforced', SERVER, 'lets a call pass that is only observed, %s'],
    ["#refused(call,call.message,'failed')", 'passes', SERVER, 'lets an observed call pass if the handler fails'],
    ["#refused(call,call.message,'failed')", 'passes', SERVER, 'lets an observed call pass if the handler fails'],
    ["#refused(call,call.message,'failed')", 'passes', SERVER, 'lets an observed call pass if the handler fails'],
  ],
  'sidecar/envoy/wire-reader.ts': [
    ["deny('request.malformed'", 'unknown', CHECK, HAS_NO_CALL],
    // Of access logs; a check goes on with what it shows otherwise (`check-request.ts`).
    ["deny('request.not-canonical'", 'no call', '', ''],
  ],
  'sidecar/state/remote-proofs.ts': [
    ["deny('token.proof'", 'denied', 'core/decide/enforce.test.ts', 'denies also while observing what is %s: `%s`'],
  ],
};

const SOURCE = 'src';
/** What makes a denial, by its reason; and what makes the answer to a check that is refused, by all that it says. */
const DENIALS = /\b(?:deny|preparedDenial)\(\s*[^,()]+/g;
const REFUSALS = /(?:#refus(?:e|al|ed)|(?<=options\.)refuse)\([^()]*\)/g;

/** The folder whose `#refuse` is of HTTP/2, where no check is read yet. */
const isHttp2 = (file: string): boolean => file.startsWith('sidecar/http2/');

/** Every place of a source, as far as it names it, in order. */
function placesIn(file: string): readonly string[] {
  const source = readFileSync(join(SOURCE, file), 'utf8')
    .replaceAll(/\/\*[^]*?\*\//g, '')
    .replaceAll(/^\s*\/\/.*$/gm, '');
  const found = [...source.matchAll(DENIALS), ...source.matchAll(REFUSALS)].toSorted((a, b) => a.index - b.index);
  // A declaration names the types of its parameters.
  return found
    .map(([place]) => place.replaceAll(/\s+/g, ''))
    .filter((place) => !/:(?:IncomingCheck|ReasonCode|Server)/.test(place));
}

const files = ['sidecar', 'serve'].flatMap((wing) =>
  readdirSync(join(SOURCE, wing), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => join(wing, file))
    .filter((file) => !isHttp2(file)),
);

describe('denials and refused answers while observing', () => {
  it('are all listed, each with what becomes of it', () => {
    const found = files.map((file) => [file, placesIn(file)] as const).filter(([, places]) => places.length > 0);
    const listed = Object.entries(FATES).map(([file, rows]) => [file, rows.map(([place]) => place)]);
    expect(Object.fromEntries(found)).toEqual(Object.fromEntries(listed));
  });

  it('are shown by tests that are there', () => {
    const missing = Object.values(FATES)
      .flat()
      .filter(([, fate]) => fate !== 'no call')
      .filter(([, , file, title]) => !readFileSync(join('test', file), 'utf8').includes(title))
      .map(([place, , file, title]) => `${place}: ${file}: ${title}`);
    expect(missing).toEqual([]);
  });
});
