#!/usr/bin/env python3
"""The SMT solver cvc5 by its Python package, as its program behaves: SMT-LIB from standard input, each command answered at once."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), 'python'))
import cvc5

if '--version' in sys.argv:
    from importlib.metadata import version

    print('This is cvc5 version', version('cvc5'))
    sys.exit()


def commands(stream):
    """Texts of one or more whole commands: cut at line ends outside of brackets, texts and quoted symbols."""
    held, depth, quote, comment = '', 0, '', False
    for line in stream:
        comment = False
        for char in line:
            if comment:
                break
            if quote:
                quote = '' if char == quote else quote
            elif char == ';':
                comment = True
            elif char in '"|':
                quote = char
            elif char in '()':
                depth += 1 if char == '(' else -1
        held += line
        if depth <= 0 and not quote and held.strip():
            yield held
            held, depth = '', 0


def options(arguments):
    for argument in arguments:
        if argument.startswith('--') and '=' in argument:
            yield argument[2:].split('=', 1)


def started():
    """A solver without assertions, with its parser. They go on from text to text, until `(reset)`."""
    manager = cvc5.TermManager()
    solver = cvc5.Solver(manager)
    for name, value in options(sys.argv[1:]):
        solver.setOption(name, value)
    parser = cvc5.InputParser(solver)
    return manager, solver, parser, parser.getSymbolManager()


def main():
    manager, solver, parser, symbols = started()
    for text in commands(sys.stdin):
        try:
            parser.setStringInput(cvc5.InputLanguage.SMT_LIB_2_6, text, '<stdin>')
            while not (command := parser.nextCommand()).isNull():
                if command.getCommandName() == 'exit':
                    return
                if command.getCommandName() == 'reset':
                    manager, solver, parser, symbols = started()
                    break
                answer = str(command.invoke(solver, symbols))
                if answer:
                    sys.stdout.write(answer)
                    sys.stdout.flush()
        except Exception as error:
            print('(error "%s")' % str(error).replace('"', "'"), flush=True)
            return


main()
