# What the file can know about itself.
import sys

assert __name__ == "__config__"
assert sys.modules["__config__"].__dict__ is globals()
assert __file__.endswith(".py") and __spec__.name == "__config__"
proc_name = __name__
