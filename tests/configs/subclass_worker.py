from gunicorn.workers.base import Worker


class PatientWorker(Worker):
    def run(self):
        pass


worker_class = PatientWorker
timeout = 172800
