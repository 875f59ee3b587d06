/** How much a finding matters: `error`, what Remit decides does not hold or no call works; `warning`, weaker than it looks; `info`, worth knowing. */
export type Level = 'error' | 'warning' | 'info';

/** What was examined, and the first word of the codes found in it. `--only` selects by it. */
export const CATEGORIES = [
  'envoy',
  'istio',
  'envoy-gateway',
  'agentgateway',
  'canary',
  'socket',
  'identity',
  'issuer',
  'policy',
  'ledger',
  'lease',
  'telemetry',
  'version',
  'platform',
] as const;

/** One of {@link CATEGORIES}. */
export type Category = (typeof CATEGORIES)[number];

/** What a finding code means. */
interface CodeEntry {
  /** The highest level of its findings. */
  readonly level: Level;
  /** What was found, as a noun phrase for lists of all codes. */
  readonly about: string;
}

const entry = (level: Level, about: string): CodeEntry => ({ level, about });

/** Every finding code, `category.problem`. Each has a section of the same name in the page of its category in `deploy/guide/fix/doctor/`. */
const table = {
  'envoy.never-asked': entry('error', 'a listener whose calls reach an upstream without asking Remit'),
  'envoy.disabled-on-route': entry('error', 'a route that switches the filter off'),
  'envoy.no-catch-all': entry('warning', 'calls that have no route when they are checked'),
  'envoy.sampled': entry('error', 'Remit is asked about a share of the calls'),
  'envoy.shadow-mode': entry('error', 'Envoy ignores the denials of Remit'),
  'envoy.conditional': entry('error', 'Remit is asked only where a rule matches'),
  'envoy.direct-path': entry('error', 'a way to an upstream past the filter'),
  'envoy.bad-provider': entry('error', 'the control plane could not find Remit, and refuses every call'),
  'envoy.cluster-missing': entry('error', 'the filter names a cluster that does not exist'),
  'envoy.cluster-http1': entry('error', 'the cluster of Remit does not speak gRPC'),
  'envoy.no-endpoint': entry('error', 'the cluster of Remit has no endpoint'),
  'envoy.socket-missing': entry('error', 'no socket at the path that Envoy connects to'),
  'envoy.socket-access': entry('error', 'a socket that Envoy may not open'),
  'envoy.socket-abstract': entry('warning', 'a socket without permissions'),
  'envoy.unreachable': entry('error', 'Envoy cannot reach Remit'),
  'envoy.fails-open': entry('error', 'calls pass while Remit is down'),
  'envoy.passed-unchecked': entry('error', 'calls have passed although their check failed'),
  'envoy.checks-failed': entry('error', 'checks have failed'),
  'envoy.status-on-error': entry('warning', 'a failed check looks like a denial'),
  'envoy.long-timeout': entry('warning', 'a check with a long deadline, or none'),
  'envoy.check-retried': entry('warning', 'a check that is repeated'),
  'envoy.asked-twice': entry('warning', 'two filters that ask about one call'),
  'envoy.no-peer-certificate': entry('warning', 'Remit does not get the certificate of the caller'),
  'envoy.headers-hidden': entry('error', 'Remit does not get the token'),
  'envoy.no-body': entry('warning', 'Remit does not get bodies'),
  'envoy.partial-body': entry('error', 'Remit decides on the beginning of a body'),
  'envoy.body-as-text': entry('info', 'bodies arrive as text'),
  'envoy.lenient-answers': entry('info', 'answers that Envoy cannot apply are dropped'),
  'envoy.changed-after-check': entry('error', 'a call that can change after its check'),
  'envoy.unseen': entry('error', 'settings that this doctor does not know, where calls are checked'),
  'envoy.route-by-client': entry('error', 'an upstream that the client chooses'),
  'envoy.rewritten': entry('error', 'a call that reaches the tool otherwise than it was decided'),
  'envoy.repeated': entry('error', 'a call that is made several times after one decision'),
  'envoy.mirrored': entry('error', 'a second server that gets each call'),
  'envoy.tunnel': entry('error', 'calls that pass inside another call'),
  'envoy.answered-early': entry('error', 'calls that are answered before they are checked'),
  'envoy.impostor': entry('error', 'somebody else who may answer for Remit'),
  'envoy.leak': entry('error', 'tokens or secrets that others can read'),
  'envoy.fails-calls': entry('error', 'calls that fail whatever Remit decides'),
  'envoy.admin-open': entry('error', 'an admin interface that others can reach'),
  'envoy.weak-tls': entry('error', 'TLS by which a caller may be another'),
  'envoy.runtime': entry('error', 'a check that can be switched off while Envoy runs'),
  'envoy.false-records': entry('warning', 'records that say what the client claims, or nothing'),
  'envoy.two-readings': entry('error', 'a call that Remit and the tool may read differently'),
  'envoy.request-trailers': entry('info', 'trailers of requests pass unseen'),
  'envoy.host-unserved': entry('warning', 'a host of the catalog that no route serves'),
  'envoy.plaintext': entry('warning', 'a listener without TLS'),
  'envoy.client-certificate-optional': entry('error', 'callers need no certificate'),
  'envoy.certificate-unverified': entry('error', 'certificates of callers are not verified'),
  'envoy.session-resumption': entry('warning', 'resumed TLS sessions are not verified again'),
  'envoy.xfcc-forwarded': entry('error', 'a header of the client that says who it is'),
  'envoy.xfcc-appended': entry('warning', 'the same header, with one of Envoy behind'),
  'envoy.path-not-normalized': entry('warning', 'paths with dot segments'),
  'envoy.slashes-kept': entry('info', 'paths with doubled or escaped slashes'),
  'envoy.upgrades': entry('warning', 'upgrades such as WebSocket'),
  'envoy.short-streams': entry('warning', 'a route that ends streams of MCP or A2A'),
  'envoy.shared-agent-limit': entry('warning', 'a rate limit whose bucket all agents share'),
  'envoy.no-agent-limit': entry('info', 'no rate limit of each agent before the check'),
  'envoy.no-outcomes': entry('info', 'no access log to Remit'),
  'envoy.old-version': entry('warning', 'an Envoy with known holes'),
  'envoy.config-refused': entry('error', 'configuration that Envoy refused'),
  'istio.conditional-rule': entry('error', 'Remit is asked only where a rule of Istio matches'),
  'istio.no-rule': entry('error', 'an AuthorizationPolicy that matches nothing'),
  'istio.provider-unknown': entry('error', 'a provider that the mesh configuration does not have'),
  'istio.service-unknown': entry('error', 'a provider whose service does not exist'),
  'istio.two-providers': entry('warning', 'two providers for one workload'),
  'istio.provider-http': entry('error', 'a provider that asks by HTTP'),
  'istio.port-http1': entry('error', 'a port on which checks are sent by HTTP/1.1'),
  'istio.fails-open': entry('error', 'calls pass while Remit is down'),
  'istio.status-on-error': entry('warning', 'a failed check looks like a denial'),
  'istio.long-timeout': entry('warning', 'a check with a long deadline'),
  'istio.no-body': entry('warning', 'Remit does not get bodies, or gets them as text'),
  'istio.partial-body': entry('error', 'Remit decides on the beginning of a body'),
  'istio.mtls-optional': entry('warning', 'calls without mutual TLS'),
  'istio.not-asked': entry('error', 'a policy that asks nobody'),
  'istio.no-workload': entry('error', 'a policy that selects no workload'),
  'istio.past-sidecar': entry('error', 'calls that go past the sidecar or waypoint'),
  'istio.changed-call': entry('error', 'a call that is changed or copied after the check'),
  'istio.repeated': entry('error', 'a call that is made several times'),
  'istio.fails-calls': entry('error', 'calls that fail whatever Remit decides'),
  'istio.impostor': entry('error', 'somebody else who may answer for Remit'),
  'istio.weak-identity': entry('warning', 'a caller who may be another'),
  'istio.unseen': entry('warning', 'settings that this doctor does not know'),
  'envoy-gateway.never-asked': entry('error', 'a route without a policy that asks Remit'),
  'envoy-gateway.overridden': entry('error', 'a policy of a route that takes the place of that of the Gateway'),
  'envoy-gateway.fails-open': entry('error', 'calls pass while Remit is down or its backend is missing'),
  'envoy-gateway.backend-missing': entry('error', 'a backend that does not exist'),
  'envoy-gateway.http': entry('error', 'a policy that asks by HTTP'),
  'envoy-gateway.status-on-error': entry('warning', 'a failed check looks like a denial'),
  'envoy-gateway.long-timeout': entry('warning', 'a check with a long deadline'),
  'envoy-gateway.changed-after-check': entry('warning', 'a route that is chosen again after the check'),
  'envoy-gateway.no-body': entry('warning', 'Remit does not get bodies'),
  'envoy-gateway.headers-hidden': entry('error', 'Remit does not get the token'),
  'envoy-gateway.xfcc-forwarded': entry('error', 'a header of the client that says who it is'),
  'envoy-gateway.xfcc-appended': entry('warning', 'the same header, with one of Envoy behind'),
  'envoy-gateway.client-certificate-optional': entry('error', 'callers need no certificate'),
  'envoy-gateway.past-filter': entry('error', 'connections that no filter reads'),
  'envoy-gateway.around': entry('warning', 'a way around the Gateway'),
  'envoy-gateway.plaintext': entry('error', 'a listener without TLS'),
  'envoy-gateway.mirrored': entry('error', 'a second server that gets each call'),
  'envoy-gateway.changed-call': entry('error', 'a call that reaches the tool otherwise than it was decided'),
  'envoy-gateway.repeated': entry('error', 'a call, or a check, that is made several times'),
  'envoy-gateway.impostor': entry('error', 'somebody else who may answer for Remit'),
  'envoy-gateway.fails-calls': entry('error', 'calls that fail whatever Remit decides'),
  'envoy-gateway.weak-identity': entry('warning', 'a caller, or a record, that may be false'),
  'envoy-gateway.unseen': entry('warning', 'settings that this doctor does not know'),
  'agentgateway.never-asked': entry('error', 'a route that does not ask Remit'),
  'agentgateway.cache': entry('error', 'answers of Remit that are cached'),
  'agentgateway.fails-open': entry('error', 'calls pass while Remit is down'),
  'agentgateway.http': entry('error', 'a policy that asks by HTTP'),
  'agentgateway.no-certificate': entry('warning', 'Remit does not get the certificate of the caller'),
  'agentgateway.no-body': entry('warning', 'Remit does not get bodies'),
  'agentgateway.partial-body': entry('error', 'Remit decides on the beginning of a body'),
  'canary.not-asked': entry('error', 'a call that Remit was not asked about'),
  'canary.not-reached': entry('error', 'a call about which Remit did not answer'),
  'canary.allowed': entry('warning', 'a call without a token that was allowed'),
  'canary.unproven': entry('info', 'counters of Remit that could not be read'),
  'socket.missing': entry('error', 'a socket that Envoy should connect to and that is not there'),
  'socket.refuses': entry('error', 'a socket that nobody accepts connections on'),
  'socket.mode': entry('error', 'a socket that others than Envoy can open, or with another mode than configured'),
  'socket.group': entry('error', 'a socket of another group than configured'),
  'socket.folder': entry('error', 'a socket in a folder that everybody can write'),
  'identity.refused': entry('error', 'A renewed SVID that is not taken over'),
  'identity.no-svid': entry('error', 'Remit without a usable identity of its own'),
  'identity.no-socket': entry('error', 'no socket of the Workload API where it is configured'),
  'identity.expired': entry('error', 'an expired SVID'),
  'identity.not-renewed': entry('warning', 'an SVID that should have been renewed'),
  'identity.unreadable': entry('error', 'a certificate file without a certificate'),
  'identity.no-certificates': entry('error', 'checks without the certificate that tokens are bound to'),
  'identity.stolen-tokens': entry('warning', 'tokens that go on in other hands'),
  'identity.clock': entry('warning', 'a clock that is off'),
  'issuer.unreachable': entry('error', 'an issuer that does not answer'),
  'issuer.certificate': entry('error', 'an issuer with a certificate that clients refuse'),
  'issuer.keys-missing': entry('error', 'an accepted issuer whose keys are not known'),
  'issuer.keys-old': entry('warning', 'keys that were not read again for hours'),
  'issuer.token-life': entry('error', 'tokens that live longer than is accepted'),
  'issuer.port': entry('warning', 'an issuer whose URL has another port'),
  'issuer.operator-agent': entry('error', 'an agent that is an operator'),
  'issuer.sidecar-agent': entry('error', 'an agent that may be a sidecar'),
  'issuer.any-sidecar': entry('warning', 'sidecars of any name'),
  'issuer.signing-key': entry('error', 'no signing key that sidecars know'),
  'policy.not-loaded': entry('error', 'no policies in force'),
  'policy.invalid': entry('error', 'a policy folder that cannot be loaded'),
  'policy.no-permit': entry('warning', 'policies that allow nothing'),
  'policy.not-in-force': entry('warning', 'policies on disk that are not in force'),
  'policy.skew': entry('error', 'sidecars with other policies than most'),
  'policy.unconfirmed': entry('warning', 'policies that their source no longer confirms'),
  'policy.load-failed': entry('info', 'loads of policies that failed since the start'),
  'policy.trial-differs': entry('info', 'policies on trial that decide otherwise'),
  'policy.writable': entry('error', 'policies that others can write'),
  'policy.open-permit': entry('warning', 'policies that permit any agent, or high risk under any intent'),
  'policy.lint': entry('info', 'policies that are probably mistakes'),
  'ledger.state': entry('error', 'a state that cannot be read or written'),
  'ledger.state-writable': entry('error', 'a state file that others can write'),
  'ledger.not-written': entry('error', 'a ledger that takes no records'),
  'ledger.missing': entry('error', 'no ledger in the configured folder'),
  'ledger.not-writable': entry('error', 'a ledger folder without write access'),
  'ledger.broken': entry('error', 'records that are not those that were signed'),
  'ledger.disk': entry('warning', 'a disk that is almost full'),
  'ledger.unsigned': entry('warning', 'records under no signed checkpoint for a minute'),
  'ledger.unacknowledged': entry('warning', 'many records that no authority has acknowledged'),
  'ledger.write-failed': entry('info', 'writes of the ledger that failed since the start'),
  'ledger.not-verified': entry('info', 'a ledger that was not verified here'),
  'lease.lost': entry('error', 'a sidecar whose lease is over'),
  'lease.refused': entry('error', 'a sidecar that its authority refuses'),
  'lease.not-given': entry('error', 'an authority that gives no leases'),
  'lease.detached': entry('warning', 'a sidecar that follows no authority'),
  'lease.behind': entry('warning', 'a sidecar that applies changes late'),
  'lease.sidecar-gone': entry('warning', 'a sidecar that no longer follows'),
  'telemetry.not-taken': entry('warning', 'a collector that takes no spans'),
  'telemetry.spans-dropped': entry('warning', 'spans that were dropped'),
  'telemetry.log-dropped': entry('warning', 'lines of the decision log that were dropped'),
  'version.node': entry('error', 'a Node that cannot run Remit'),
  'version.skew': entry('error', 'a sidecar whose version is too far from that of its authority'),
  'version.doctor': entry('info', 'a doctor of another version than the running Remit'),
  'platform.not-ready': entry('error', 'a condition of readiness that this version does not know'),
  'platform.admin-open': entry('warning', 'an admin address that other machines reach'),
  'platform.overloaded': entry('warning', 'checks that were refused without a decision'),
  'platform.blocked': entry('info', 'an event loop that waits'),
  'platform.memory': entry('warning', 'a process near its memory limit'),
  'platform.draining': entry('info', 'a process that is about to stop'),
} as const satisfies Readonly<Record<`${Category}.${string}`, CodeEntry>>;

/** The code of a finding. */
export type Code = keyof typeof table;

/** What each code means, in the order of the table. */
export const codes: ReadonlyMap<string, CodeEntry> = new Map(Object.entries(table));

const categories: ReadonlySet<string> = new Set(CATEGORIES);

const ofHosts: ReadonlySet<Category> = new Set(['envoy', 'istio', 'envoy-gateway', 'agentgateway', 'canary']);

/** Whether findings of a category are about Remit itself, not about the host that asks it. */
export const isOfRemit = (category: Category): boolean => !ofHosts.has(category);

/** Whether a word is a category. */
export const isCategory = (word: string): word is Category => categories.has(word);

/** The highest level of a code. */
export const levelOf = (code: Code): Level => table[code].level;

/** The section of the guide that explains a code. */
export const pageOf = (code: Code): string => {
  const [category = ''] = code.split('.');
  return `fix/doctor/${category}#${code.replaceAll('.', '')}`;
};
