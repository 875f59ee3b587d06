/** `remit help`: print a page of the guide. */
import { GUIDE_FOLDER, GUIDE_URL } from '../core/config/guide.ts';
import { isProblem } from '../core/runtime/problem.ts';
import { EXIT } from './command.ts';
import type { Command } from './command.ts';
import { guidePage, guidePages } from './guide-page.ts';
import { optionsFrom } from './options.ts';

const help = `usage: remit help TOPIC
       remit help --list

Prints a page of the guide that is installed with this build, or one section of it: what links of the doctor, of alerts and of messages
name. ${GUIDE_URL} is the URL of a copy of the guide, if one is served; links then name it in place of this command.

  TOPIC    a page by its path or the end of it (fix/reasons, reasons, RemitDown), with #SECTION for a part of it
  --list   print the names of all pages

  remit help first-agent
  remit help RemitDown
  remit help fix/doctor/envoy#envoynever-asked

exit codes: 0 success, 1 there is no such page or section, or several, 2 bad use`;

/** `remit help`. */
export const helpCommand: Command = {
  name: 'help',
  help,
  run: async (args, io) => {
    const options = optionsFrom(args, { list: { type: 'boolean' } }, 1);
    const topic = typeof options === 'string' ? undefined : options.operands[0];
    if (typeof options === 'string' || (options.values.list === true) === (topic !== undefined)) {
      io.err(`remit help: ${typeof options === 'string' ? options : 'expected a topic, or `--list`'}`);
      return EXIT.bad;
    }
    if (topic === undefined) {
      for (const page of await guidePages(GUIDE_FOLDER)) io.out(page);
      return EXIT.good;
    }
    const page = await guidePage(GUIDE_FOLDER, topic);
    if (isProblem(page)) {
      io.err(`remit help: ${page.problem}; \`remit help --list\` prints the names of all pages`);
      return EXIT.no;
    }
    io.out(page.trimEnd());
    return EXIT.good;
  },
};
