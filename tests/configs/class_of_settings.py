class Base:
    workers = 2
    timeout = 10


class Production(Base):
    timeout = 50


workers = Production.workers
timeout = Production.timeout
