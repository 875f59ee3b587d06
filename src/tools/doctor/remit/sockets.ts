import type { Finding } from '../finding.ts';
import type { RemitCheck } from './remit-check.ts';
import type { ListenedSocket, RemitHost } from './remit-facts.ts';

/** The sockets that Envoy connects to are there, accept connections, and are open to nobody else. */
export const sockets: RemitCheck = {
  title: 'Envoy can connect to the sockets of Remit, and nobody else can',
  run: ({ host }) =>
    host === null || host.sockets.length === 0 ? null : host.sockets.flatMap((one) => findingsOf(one, host)),
};

function findingsOf(socket: ListenedSocket, { config: { extAuthz } }: RemitHost): readonly Finding[] {
  const { path, found, refusal, isFolderOpen, groupId, groupProblem } = socket;
  const where = `socket/${path}`;
  if (found.kind !== 'socket') {
    const message =
      found.kind === 'missing'
        ? 'it does not exist, so Envoy gets no answer'
        : 'it is not a socket that can be looked at';
    return [
      {
        code: 'socket.missing',
        where,
        message,
        fix: 'start Remit with this configuration; see its log for why it does not listen',
      },
    ];
  }
  const findings: Finding[] = [];
  if (refusal !== null) {
    const message = `nobody can connect to it: ${refusal}`;
    findings.push({
      code: 'socket.refuses',
      where,
      message,
      fix: 'start Remit: the socket is left from a process that is gone; or run this as a user who may connect',
    });
  }
  const mode = found.mode.toString(8).padStart(4, '0');
  if (mode !== extAuthz.socketMode) {
    const isOpen = (found.mode & 0o007) !== 0;
    const message = isOpen
      ? `its mode is ${mode}: every user of this machine can ask Remit in the name of Envoy`
      : `its mode is ${mode}, not ${extAuthz.socketMode} as \`extAuthz.socketMode\` says`;
    findings.push({
      code: 'socket.mode',
      where,
      message,
      fix: 'restart Remit, and let nothing else change the mode',
      ...(isOpen ? {} : { level: 'warning' }),
    });
  }
  if (groupProblem !== null || (groupId !== null && groupId !== found.gid)) {
    const message =
      groupProblem ??
      `its group is ${found.gid}, not ${String(groupId)} as \`extAuthz.socketGroup\` says: Envoy may not connect`;
    findings.push({
      code: 'socket.group',
      where,
      message,
      fix: 'set `extAuthz.socketGroup` to a group of the user of Envoy, and restart Remit',
    });
  }
  if (isFolderOpen) {
    const message = 'every user can write its folder, and so put a socket in its place that allows everything';
    findings.push({
      code: 'socket.folder',
      where,
      message,
      fix: 'give the folder a mode without write access for others, such as 0750',
    });
  }
  return findings;
}
