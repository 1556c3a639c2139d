# Reads configuration files with the real oslo.config: the options and the command
# lines come in as JSON, and what each option is, or that it is refused, goes out.
import json
import logging
import os
import sys

from oslo_config import cfg, types

logging.disable(logging.CRITICAL)


def option(o):
    older = [cfg.DeprecatedOpt(n['Name'], group=n['Group']) for n in o['Older'] or []]
    kind, limits = o['Type'], {'deprecated_opts': older}
    if o['Default'] is not None:
        limits['default'] = o['Default']
    if kind in ('int', 'port'):
        limits.update({k.lower(): o[k] for k in ('Min', 'Max') if o.get(k) is not None})
        return (cfg.IntOpt if kind == 'int' else cfg.PortOpt)(o['Name'], **limits)
    if kind == 'choice':
        return cfg.StrOpt(o['Name'], choices=o['Choices'], **limits)
    if kind == 'list' and o.get('Choices'):
        return cfg.ListOpt(o['Name'], item_type=types.String(choices=o['Choices']), **limits)
    return {'str': cfg.StrOpt, 'bool': cfg.BoolOpt, 'list': cfg.ListOpt, 'multi': cfg.MultiStrOpt,
            'host': cfg.HostAddressOpt}[kind](o['Name'], **limits)


def run(options, case):
    conf = cfg.ConfigOpts()
    for o in options:
        conf.register_opt(option(o), group=None if o['Group'] == 'DEFAULT' else o['Group'])
    os.chdir(case['Dir'])
    try:
        conf(case['Args'], project='none', default_config_files=[], default_config_dirs=[])
    except Exception as e:
        return {'Refused': '%s: %s' % (type(e).__name__, e)}
    values, refused = {}, {}
    for o in options:
        at = '[%s] %s' % (o['Group'], o['Name'])
        try:
            group = conf if o['Group'] == 'DEFAULT' else conf[o['Group']]
            values[at] = group[o['Name']]
        except Exception as e:
            refused[at] = '%s: %s' % (type(e).__name__, e)
    return {'Values': values, 'Options': refused}


asked = json.load(sys.stdin)
json.dump([run(asked['Options'], case) for case in asked['Cases']], sys.stdout)
