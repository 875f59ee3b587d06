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
  const { found } = socket;
  if (found.kind !== 'socket') return [missing(socket, found.kind)];
  const findings = [
    refusing(socket),
    wrongMode(socket, found.mode, extAuthz.socketMode),
    wrongGroup(socket, found.gid),
    inOpenFolder(socket),
  ];
  return findings.filter((one) => one !== null);
}

const whereOf = ({ path }: ListenedSocket): string => `socket/${path}`;

const missing = (socket: ListenedSocket, kind: string): Finding => ({
  code: 'socket.missing',
  where: whereOf(socket),
  message:
    kind === 'missing' ? 'it does not exist, so Envoy gets no answer' : 'it is not a socket that can be looked at',
  fix: 'start Remit with this configuration; see its log for why it does not listen',
});

const refusing = (socket: ListenedSocket): Finding | null =>
  socket.refusal === null
    ? null
    : {
        code: 'socket.refuses',
        where: whereOf(socket),
        message: `nobody can connect to it: ${socket.refusal}`,
        fix: 'start Remit: the socket is left from a process that is gone; or run this as a user who may connect',
      };

function wrongMode(socket: ListenedSocket, bits: number, expected: string): Finding | null {
  const mode = bits.toString(8).padStart(4, '0');
  if (mode === expected) return null;
  const isOpen = (bits & 0o007) !== 0;
  return {
    code: 'socket.mode',
    where: whereOf(socket),
    message: isOpen
      ? `its mode is ${mode}: every user of this machine can ask Remit in the name of Envoy`
      : `its mode is ${mode}, not ${expected} as \`extAuthz.socketMode\` says`,
    fix: 'restart Remit, and let nothing else change the mode',
    ...(isOpen ? {} : { level: 'warning' }),
  };
}

function wrongGroup(socket: ListenedSocket, gid: number): Finding | null {
  const { groupId, groupProblem } = socket;
  if (groupProblem === null && (groupId === null || groupId === gid)) return null;
  return {
    code: 'socket.group',
    where: whereOf(socket),
    message:
      groupProblem ??
      `its group is ${gid}, not ${String(groupId)} as \`extAuthz.socketGroup\` says: Envoy may not connect`,
    fix: 'set `extAuthz.socketGroup` to a group of the user of Envoy, and restart Remit',
  };
}

const inOpenFolder = (socket: ListenedSocket): Finding | null =>
  socket.isFolderOpen
    ? {
        code: 'socket.folder',
        where: whereOf(socket),
        message:
          'every user can write a folder that leads to it, and so put a socket in its place that allows everything',
        fix: 'give each folder above it a mode without write access for others, such as 0750',
      }
    : null;
