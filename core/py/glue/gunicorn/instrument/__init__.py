"""gunicorn.instrument"""
