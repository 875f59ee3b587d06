import type { ReasonCode } from '../../../src/core/decision/reasons.ts';
import type { IdentityRules, PeerFacts } from '../../../src/core/identity/caller.ts';
import { KEY_USAGES, makeAuthority, NOW_MS } from './certificates.ts';
import { mustSpiffeId, mustTrustDomain } from '../../builders/spiffe-id.ts';

/** The workload that every attack pretends to be, the attacker, and the two that may stand in between. */
export const PLANNER = mustSpiffeId('spiffe://acme.test/ns/agents/sa/planner');
export const THIEF = mustSpiffeId('spiffe://acme.test/ns/agents/sa/thief');
export const PROXY = mustSpiffeId('spiffe://acme.test/ns/mesh/sa/envoy');
export const GATEWAY = mustSpiffeId('spiffe://acme.test/ns/mesh/sa/gateway');
export const ACME = mustTrustDomain('acme.test');

/** The CA of the trust domain. */
export const authority = makeAuthority({ uris: ['spiffe://acme.test'] });
export const planner = authority.issue({ uris: [PLANNER] });
export const thief = authority.issue({ uris: [THIEF] });

/** Valid rules for each mode. */
export const peerRules: IdentityRules = {
  mode: 'peer',
  trustDomains: new Set([ACME]),
  proxyIds: [],
  forwarders: new Set(),
};
export const xfccRules: IdentityRules = {
  mode: 'xfcc',
  trustDomains: new Set([ACME]),
  proxyIds: [PROXY],
  forwarders: new Set([GATEWAY]),
};

/** What Envoy reports for a valid call, in each mode. */
export const peerFacts: PeerFacts = { principal: PLANNER, certificate: planner.urlEncodedPem, xfcc: [] };
export const plannerElement = `By=${PROXY};Hash=${planner.hash};Subject="CN=leaf";URI=${PLANNER};DNS=planner.acme.test`;
export const xfccFacts: PeerFacts = { principal: '', certificate: '', xfcc: [plannerElement] };

/** One attack and its expected result. */
export interface Spoof {
  readonly attack: string;
  readonly rules: IdentityRules;
  readonly facts: PeerFacts;
  readonly reason: ReasonCode;
  readonly detail: string;
}

type Row = readonly [attack: string, facts: Partial<PeerFacts>, reason: ReasonCode, detail: string];

const BEGIN = 'a spiffe id must begin with `spiffe://`';
const TRUST_DOMAIN = 'a trust domain must be 1 to 255 of `a-z0-9.-_`, in lower case';
const SEGMENT = 'each path segment of a spiffe id must be one or more of `A-Za-z0-9.-_`, and neither `.` nor `..`';
const NO_PATH = 'the spiffe id of a workload must have a path';
const FOREIGN = 'the trust domain of the caller is not accepted';
const NOT_LEAF = 'the principal is not the id of the peer certificate';
const ONE_BLOCK = 'the certificate must be exactly one pem block';
const NOT_URI = 'the principal is not the `URI` of xfcc';
const NOT_HASH = 'the peer certificate is not that of `Hash` in xfcc';
const NOT_FORWARDER = 'the principal is not the `URI` of xfcc and may not forward for another';
const ONE_HEADER = 'the call must have one xfcc header';
const BY = '`By` of xfcc must be the pinned proxy, exactly once';
const BY_LAST = '`By` of xfcc must be the pinned proxy in the last element alone';
const beside = (detail: string): string => `xfcc beside a principal could not be read: ${detail}`;
const notPairs = (at: number): string => `xfcc must be \`key=value\` pairs: unexpected text at byte ${at}`;

const issued = (options: Parameters<typeof authority.issue>[0]): Partial<PeerFacts> => ({
  certificate: authority.issue(options).urlEncodedPem,
});
const { digitalSignature, keyCertSign } = KEY_USAGES;

const onPeer: readonly Row[] = [
  ['no tls', { principal: '', certificate: '' }, 'identity.missing', 'the connection has no principal'],
  ['no tls, xfcc instead', { ...xfccFacts }, 'identity.missing', 'the connection has no principal'],
  ['a certificate without a principal', { principal: '' }, 'identity.missing', 'the connection has no principal'],
  ['a dns name for a principal', { principal: 'planner.acme.test' }, 'identity.invalid', BEGIN],
  ['a subject for a principal', { principal: `CN=${PLANNER}` }, 'identity.invalid', BEGIN],
  ['an https principal', { principal: PLANNER.replace('spiffe', 'https') }, 'identity.invalid', BEGIN],
  ['two principals in one text', { principal: `${PLANNER},${THIEF}` }, 'identity.invalid', SEGMENT],
  ['an upper-case trust domain', { principal: PLANNER.replace('acme', 'ACME') }, 'identity.invalid', TRUST_DOMAIN],
  ['a trust domain alone', { principal: 'spiffe://acme.test' }, 'identity.invalid', NO_PATH],
  ['a NUL after the id', { principal: `${PLANNER}\0` }, 'identity.invalid', SEGMENT],
  ['a percent-encoded id', { principal: PLANNER.replace('planner', '%70lanner') }, 'identity.invalid', SEGMENT],
  ['a dotted detour', { principal: PLANNER.replace('sa/', 'sa/thief/../') }, 'identity.invalid', SEGMENT],
  ['another trust domain', { principal: 'spiffe://evil.test/a' }, 'identity.untrusted-domain', FOREIGN],
  ['a subdomain', { principal: 'spiffe://x.acme.test/a' }, 'identity.untrusted-domain', FOREIGN],
  ['a longer name', { principal: 'spiffe://acme.test.evil/a' }, 'identity.untrusted-domain', FOREIGN],
  ['the name of a prototype', { principal: 'spiffe://constructor/a' }, 'identity.untrusted-domain', FOREIGN],
  ['the certificate of another', { certificate: thief.urlEncodedPem }, 'identity.conflict', NOT_LEAF],
  ['the principal of another', { principal: THIEF }, 'identity.conflict', NOT_LEAF],
  [
    'a certificate in other case',
    issued({ uris: [PLANNER.replace('planner', 'Planner')] }),
    'identity.conflict',
    NOT_LEAF,
  ],
  [
    'two URI names',
    issued({ uris: [PLANNER, THIEF] }),
    'identity.invalid',
    'the certificate must have exactly one uri name, it has 2',
  ],
  [
    'a NUL in the certificate',
    issued({ uris: [`${PLANNER}\0`] }),
    'identity.invalid',
    'a name of the certificate contains a nul or could not be read',
  ],
  [
    'a CA as a leaf',
    issued({ uris: [PLANNER], ca: true, keyUsage: digitalSignature }),
    'identity.invalid',
    'the certificate must not be of a ca',
  ],
  [
    'a leaf that signs certificates',
    issued({ uris: [PLANNER], keyUsage: digitalSignature | keyCertSign }),
    'identity.invalid',
    'the key usage of the certificate must have neither keyCertSign nor cRLSign',
  ],
  [
    'an expired certificate',
    issued({ uris: [PLANNER], notAfterMs: NOW_MS - 1000 }),
    'identity.invalid',
    'the peer certificate has expired',
  ],
  [
    'a certificate that is not valid yet',
    issued({ uris: [PLANNER], notBeforeMs: NOW_MS + 1000 }),
    'identity.invalid',
    'the peer certificate is not valid yet',
  ],
  [
    'a second certificate behind the first',
    { certificate: planner.urlEncodedPem + thief.urlEncodedPem },
    'identity.invalid',
    ONE_BLOCK,
  ],
  [
    'an unencoded PEM with a stray percent sign',
    { certificate: `${planner.pem}%` },
    'identity.invalid',
    'the peer certificate must be url-encoded',
  ],
  ['xfcc of another', { xfcc: [`URI=${THIEF}`] }, 'identity.conflict', NOT_URI],
  ['xfcc without a name', { xfcc: ['URI='] }, 'identity.conflict', NOT_URI],
  ['xfcc of another to the right', { xfcc: [`URI=${PLANNER},URI=${THIEF}`] }, 'identity.conflict', NOT_URI],
  ['xfcc with another hash', { xfcc: [`Hash=${thief.hash};URI=${PLANNER}`] }, 'identity.conflict', NOT_HASH],
  ['xfcc that cannot be read', { xfcc: ['URI'] }, 'identity.conflict', beside(notPairs(0))],
  [
    'xfcc as json',
    { xfcc: [`[{"URI":"${PLANNER}"}]`] },
    'identity.conflict',
    beside('xfcc in its json form is not accepted'),
  ],
  ['an empty xfcc', { xfcc: [''] }, 'identity.conflict', beside(notPairs(0))],
  ['two xfcc headers', { xfcc: [plannerElement, plannerElement] }, 'identity.conflict', beside(ONE_HEADER)],
];

const only = (header: string): Partial<PeerFacts> => ({ xfcc: [header] });

const onXfcc: readonly Row[] = [
  ['no header', { xfcc: [] }, 'identity.missing', 'the call has no xfcc'],
  ['a principal alone', { principal: PLANNER, xfcc: [] }, 'identity.missing', 'the call has no xfcc'],
  ['two headers', { xfcc: [plannerElement, plannerElement] }, 'identity.invalid', ONE_HEADER],
  ['an element without `By`', only(`URI=${PLANNER}`), 'identity.invalid', BY],
  ['an empty `By`', only(`By=;URI=${PLANNER}`), 'identity.invalid', BY],
  ['`By` of another', only(`By=${THIEF};URI=${PLANNER}`), 'identity.invalid', BY],
  ['`By` in other case', only(`By=${PROXY.toUpperCase()};URI=${PLANNER}`), 'identity.invalid', BY],
  ['`By` twice', only(`By=${PROXY};By=${THIEF};URI=${PLANNER}`), 'identity.invalid', BY],
  ['the pinned `By` twice', only(`By=${PROXY};By=${PROXY};URI=${PLANNER}`), 'identity.invalid', BY],
  ['the pinned `By` further left', only(`${plannerElement},By=${THIEF};URI=${PLANNER}`), 'identity.invalid', BY],
  ['no `URI`', only(`By=${PROXY};Hash=${planner.hash}`), 'identity.missing', 'xfcc has no `URI`'],
  ['an empty `URI`', only(`By=${PROXY};URI=`), 'identity.invalid', BEGIN],
  [
    'two `URI`',
    only(`${plannerElement};URI=${THIEF}`),
    'identity.invalid',
    'an xfcc element must have `uri` at most once',
  ],
  [
    'a `URI` of another trust domain',
    only(`By=${PROXY};URI=spiffe://evil.test/a`),
    'identity.untrusted-domain',
    FOREIGN,
  ],
  ['a `URI` that is a trust domain', only(`By=${PROXY};URI=spiffe://acme.test`), 'identity.invalid', NO_PATH],
  ['a `URI` with an escape', only(`By=${PROXY};URI="${PLANNER}\\""`), 'identity.invalid', SEGMENT],
  [
    'a subject that ends its quote',
    only(`By=${PROXY};Subject="CN=a";URI=${PLANNER}";URI=${THIEF}`),
    'identity.invalid',
    notPairs(54),
  ],
  [
    'a subject that swallows the `URI`',
    only(`By=${PROXY};Subject="CN=a\\\\";URI=${THIEF};DNS="`),
    'identity.invalid',
    notPairs(39),
  ],
  [
    'a name that adds an element',
    only(`By=${THIEF};URI=${THIEF};DNS=a,By=${PROXY};URI=${PLANNER};DNS=b;Foo=`),
    'identity.invalid',
    'xfcc has an unknown key',
  ],
  [
    'a name that adds a whole element',
    only(`By=${PROXY};URI=${THIEF};DNS=a,${plannerElement}`),
    'identity.invalid',
    BY_LAST,
  ],
  [
    'an element of the proxy filled in before',
    only(`By=${PROXY};URI=${THIEF},${plannerElement}`),
    'identity.invalid',
    BY_LAST,
  ],
  ['space before the element', only(` ${plannerElement}`), 'identity.invalid', notPairs(0)],
  ['json', only(`{"By":"${PROXY}","URI":"${PLANNER}"}`), 'identity.invalid', 'xfcc in its json form is not accepted'],
  [
    '17 elements',
    only(Array(17).fill(plannerElement).join(',').slice(0, 16_384)),
    'identity.invalid',
    'xfcc must have at most 16 elements',
  ],
  [
    '16 KiB and a byte',
    only(plannerElement.padEnd(16_385, 'a')),
    'identity.invalid',
    'xfcc must be at most 16384 bytes',
  ],
  ['a peer that may not forward', { principal: THIEF }, 'identity.conflict', NOT_FORWARDER],
  ['a peer that is not a workload', { principal: 'CN=gateway' }, 'identity.conflict', NOT_FORWARDER],
  [
    'a forwarder with the certificate of another',
    { principal: GATEWAY, certificate: thief.urlEncodedPem },
    'identity.conflict',
    NOT_LEAF,
  ],
  ['a certificate without a principal', { certificate: planner.urlEncodedPem }, 'identity.conflict', NOT_LEAF],
  [
    'the hash of another certificate',
    { principal: PLANNER, certificate: authority.issue({ uris: [PLANNER] }).urlEncodedPem },
    'identity.conflict',
    NOT_HASH,
  ],
];

const spoofs = (rules: IdentityRules, normal: PeerFacts, rows: readonly Row[]): readonly Spoof[] =>
  rows.map(([attack, facts, reason, detail]) => ({ attack, rules, facts: { ...normal, ...facts }, reason, detail }));

/** Every attack of both modes: a valid call with the changes of its row. */
export const spoofCorpus: readonly Spoof[] = [
  ...spoofs(peerRules, peerFacts, onPeer),
  ...spoofs(xfccRules, xfccFacts, onXfcc),
];
