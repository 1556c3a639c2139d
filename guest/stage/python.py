# Runs part handlers for the agent. Requests come on descriptor 3, one JSON
# object a line; answers go to descriptor 4. What a handler prints goes where
# the output of the stage goes.
import base64, importlib.util, json, os, sys, traceback

sys.dont_write_bytecode = True
mods = {}


class Cloud:
    def __init__(self, instance_id):
        self.instance_id = instance_id

    def get_instance_id(self):
        return self.instance_id


def load(r):
    spec = importlib.util.spec_from_file_location(r["module"], r["path"])
    mod = importlib.util.module_from_spec(spec)
    sys.modules[r["module"]] = mod
    spec.loader.exec_module(mod)
    if not (hasattr(mod, "list_types") and hasattr(mod, "handle_part")):
        raise ValueError("no list_types and handle_part")
    types = [str(t) for t in mod.list_types()]
    mods[r["module"]] = mod
    call(r, "__begin__", None, None, {"Content-Type": "__begin__"})
    return types


def call(r, ctype, filename, payload, headers):
    mod, frequency = mods[r["module"]], r["frequency"]
    wants = getattr(mod, "frequency", "once-per-instance")
    if not (wants == "always" or wants == frequency == "once-per-instance"):
        return
    version = getattr(mod, "handler_version", 1)
    if version not in (1, 2, 3):
        raise ValueError("Unknown module version %s" % version)
    more = [(), (frequency,), (frequency, headers)][version - 1]
    mod.handle_part(Cloud(r["instance_id"]), ctype, filename, payload, *more)


def part(r):
    payload = base64.b64decode(r["payload"])
    if r["type"].startswith("text/"):
        payload = payload.decode("utf-8", "surrogateescape")
    call(r, r["type"], r["filename"], payload, r["headers"])


def end(r):
    call(r, "__end__", None, None, {"Content-Type": "__end__"})


with os.fdopen(3) as requests, os.fdopen(4, "w") as answers:
    for line in requests:
        request, answer = json.loads(line), {}
        try:
            answer["types"] = {"load": load, "part": part, "end": end}[request["op"]](request)
        except BaseException as e:
            answer["error"] = "%s: %s" % (type(e).__name__, e)
            traceback.print_exc()
        sys.stdout.flush()
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
